#!/bin/sh
# Remake the shipped networks: sh train/recipes/shipped.sh DATA RUN
#   DATA  a folder with fer2013.csv and FER+'s fer2013new.csv
#   RUN   a folder for the training runs; 2 to 3 hours on two recent CPU cores with bfloat16. Start it again to go on.
# Then `python models/release.py RUN/fer2013.export.json` puts the files into the package.
#
# edgeresnet is trained first. edgeresnet-deep grows from its weights and learns from it beside the labels: the answers of
# a trained network are less noisy than FER2013's labels. At last some epochs on milder changes, near to the faces as they
# are, with its own answers to hold on to.
set -eu
data=$1 run=$2
train() { # NAME OPTIONS...
    name=$1
    shift
    resume=$([ -e "$run/$name/last.pt" ] && echo --resume || true)
    fer-train --data "$data/fer2013.csv" --out "$run/$name" $resume "$@"
}
grow() { # NAME FROM OPTIONS...: begin with the weights of FROM, and learn from it
    name=$1 from=$run/$2/best.pt
    shift 2
    train "$name" --model edgeresnet-deep --init-weights "$from" --teacher "$from" --distill-weight 0.5 \
        --distill-temperature 2 "$@"
}
mkdir -p "$run"
train first --ferplus "$data/fer2013new.csv" --epochs 48
grow second first --ferplus "$data/fer2013new.csv" --epochs 72 --mixup 0.2 \
    --augment standard,rotation_deg=18,scale=0.16,shift=0.08,aspect=0.08,shear_deg=5,blur=0.1,noise=0.1
grow third second --epochs 5 --lr 0.01 --ema-decay 0.998
fer-export "$run/third/best.pt" --out "$run/fer2013.onnx" --quantize --calibration-data "$data/fer2013.csv" --overwrite
