#!/bin/sh
# Remake the shipped face detector: sh train/recipes/luma.sh DATA RUN [SCENES] [STEPS] [BATCH]
#   DATA    a folder with faces/ (tiles_NN.jpg, boxes.csv), fer2013.csv and face_detection_yunet_2023mar.onnx
#   RUN     a folder for scenes, checkpoints and files
#   SCENES  how many scenes to compose (24000; 106 kB each, on disk and on the training device)
#   STEPS   of training (80000), BATCH pictures each (16); with a GPU rather 100000 scenes, 60000 steps of 64
# Then twice a quarter as many steps, on the mosaics alone, begin with that network, and the shipped one is the mean of
# the two. False alarms of the luma that is installed are among the scenes, and FER2013's close-ups are laid on them.
# Every step goes on where it was stopped.
# `python models/release.py RUN/luma.export.json` puts the files into the package.
set -eu
data=$1 run=$2 scenes=${3:-24000} steps=${4:-80000} batch=${5:-16}
here=$(dirname "$0")
fer-train scenes --faces "$data/faces" --fer "$data/fer2013.csv" --teacher "$data/face_detection_yunet_2023mar.onnx" \
    --out "$run/scenes" --count "$scenes"
train() { # OUT STEPS RATE BEGIN, and other options; BEGIN: a detector.pt to begin with, or nothing
    out=$run/$1 count=$2 rate=$3 begin=$4
    shift 4
    if [ -e "$out/last.pt" ]; then
        set -- --resume "$@"
    elif [ -n "$begin" ]; then
        set -- --init-weights "$begin" "$@"
    fi
    fer-train detector --scenes "$run/scenes" --out "$out" --steps "$count" \
        --batch-size "$batch" --lr "$rate" "$@"
}
train first "$steps" 1.5e-3 ""
for seed in 1 2; do
    train "mosaics$seed" "$((steps / 4))" 1e-3 "$run/first/detector.pt" --seed "$seed" --mosaics-only
done
python "$here/average_detectors.py" "$run/mosaics1/detector.pt" "$run/mosaics2/detector.pt" "$run/detector.pt"
fer-export detector "$run/detector.pt" --scenes "$run/scenes" --out "$run/luma.onnx" --score-threshold 0.65 --overwrite
