#!/bin/sh
# Remake the shipped face detector: sh train/recipes/luma.sh DATA RUN [SCENES] [STEPS] [BATCH]
#   DATA    a folder with faces/ (tiles_NN.jpg, boxes.csv), fer2013.csv and face_detection_yunet_2023mar.onnx
#   RUN     a folder for scenes, checkpoints and files
#   SCENES  how many scenes to compose (12000; 102 kB each, on disk and on the training device)
#   STEPS   of training (80000), BATCH pictures each (16); with a GPU rather 100000 scenes, 60000 steps of 64
# Every step goes on where it was stopped. Then `python models/release.py RUN/luma.export.json` puts the files into
# the package.
set -eu
data=$1 run=$2 scenes=${3:-12000} steps=${4:-80000} batch=${5:-16}
resume=$([ -e "$run/last.pt" ] && echo --resume || true)
fer-train scenes --faces "$data/faces" --fer "$data/fer2013.csv" --teacher "$data/face_detection_yunet_2023mar.onnx" \
    --out "$run/scenes" --count "$scenes"
fer-train detector --scenes "$run/scenes" --faces "$data/faces" --out "$run" --steps "$steps" \
    --batch-size "$batch" --lr 1.5e-3 $resume
fer-export detector "$run/detector.pt" --scenes "$run/scenes" --out "$run/luma.onnx" --overwrite
