#!/bin/sh
# Train the shipped emotion network and export it.
#
#   sh train/recipes/shipped.sh DATA RUN
#
#   DATA  a folder with fer2013.csv and FER+'s fer2013new.csv
#   RUN   a folder for the training runs
#
# This takes 2 to 3 hours on two recent CPU cores with bfloat16. Start it again to resume after an interruption.
# Then `python -m fer_export.release RUN/fer2013.export.json` puts the files into the package.
#
# First edgeresnet is trained. Then edgeresnet-deep starts from its weights and learns from it as a teacher, whose answers
# are less noisy than FER2013's labels. The last epochs use weaker augmentation, with the second network as the teacher.
set -eu
data=$1 run=$2
train() { # NAME OPTIONS...: train, or resume
    name=$1
    shift
    resume=$([ -e "$run/$name/last.pt" ] && echo --resume || true)
    fer-train --data "$data/fer2013.csv" --out "$run/$name" $resume "$@"
}
extend() { # NAME FROM OPTIONS...: start from the weights of the run FROM, which is also the teacher
    name=$1 from=$run/$2/best.pt
    shift 2
    train "$name" --model edgeresnet-deep --init-weights "$from" --teacher "$from" --distill-weight 0.5 \
        --distill-temperature 2 "$@"
}
mkdir -p "$run"
train first --ferplus "$data/fer2013new.csv" --epochs 48
extend second first --ferplus "$data/fer2013new.csv" --epochs 72 --mixup 0.2 \
    --augment standard,rotation_deg=18,scale=0.16,shift=0.08,aspect=0.08,shear_deg=5,blur=0.1,noise=0.1
extend third second --epochs 5 --lr 0.01 --ema-decay 0.998
fer-export "$run/third/best.pt" --out "$run/fer2013.onnx" --quantize --calibration-data "$data/fer2013.csv" \
    --min-confidence 0.5 --overwrite
