#!/bin/sh
# Remake the shipped networks: sh train/recipes/shipped.sh DATA RUN
#   DATA  a folder with fer2013.csv and FER+'s fer2013new.csv
#   RUN   a folder for the training runs; 2 to 3 hours on two recent CPU cores with bfloat16. Start it again to go on.
# Then `python models/release.py RUN/fer2013.export.json` puts the files into the package.
#
# edgeresnet is trained first. edgeresnet-deep grows from its weights, and learns from it beside the labels: the answers
# of a trained network are less noisy than FER2013's labels.
set -eu
data=$1 run=$2
train() { # NAME OPTIONS...
    name=$1
    shift
    resume=$([ -e "$run/$name/last.pt" ] && echo --resume || true)
    fer-train --data "$data/fer2013.csv" --ferplus "$data/fer2013new.csv" --out "$run/$name" $resume "$@"
}
mkdir -p "$run"
train first --epochs 48
train second --model edgeresnet-deep --epochs 72 --init-weights "$run/first/best.pt" \
    --teacher "$run/first/best.pt" --distill-weight 0.5 --distill-temperature 2 --mixup 0.2 \
    --augment standard,rotation_deg=18,scale=0.16,shift=0.08,aspect=0.08,shear_deg=5,blur=0.1,noise=0.1
fer-export "$run/second/best.pt" --out "$run/fer2013.onnx" --quantize --calibration-data "$data/fer2013.csv" --overwrite
