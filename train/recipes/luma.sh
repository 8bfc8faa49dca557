#!/bin/sh
# Train the shipped face detector: sh train/recipes/luma.sh LFW FER2013 YUNET RUN [SCENES] [STEPS] [BATCH]
#   LFW      lfw-deepfunneled.tgz (Labeled Faces in the Wild, deep funneled), or its unpacked folder
#   FER2013  fer2013.csv
#   YUNET    face_detection_yunet_2023mar.onnx of OpenCV's zoo
#   RUN      a folder for tiles, scenes, checkpoints and ONNX files
#   SCENES   how many scenes to compose (24000; 106 kB each, on disk and on the training device)
#   STEPS    of training (80000), with BATCH images each (16); on a GPU rather 100000 scenes and 60000 steps of 64
# A quarter as many steps follow twice, only on mosaics, each from that network. The shipped one is the mean of the two.
# Scenes contain false alarms of the installed luma. Every step continues where it was interrupted.
# `python -m fer_export.release RUN/luma.export.json` puts the files into the package.
set -eu
lfw=$1 fer2013=$2 yunet=$3 run=$4 scenes=${5:-24000} steps=${6:-80000} batch=${7:-16}
here=$(dirname "$0")
train() { # OUT STEPS RATE START OPTIONS...: START is a detector.pt to start from, or empty
    out=$run/$1 count=$2 rate=$3 start=$4
    shift 4
    if [ -e "$out/last.pt" ]; then
        set -- --resume "$@"
    elif [ -n "$start" ]; then
        set -- --init-weights "$start" "$@"
    fi
    fer-train detector --scenes "$run/scenes" --out "$out" --steps "$count" \
        --batch-size "$batch" --lr "$rate" "$@"
}
[ -e "$run/faces/boxes.csv" ] || python "$here/lfw_tiles.py" "$lfw" "$yunet" "$run/faces" --overwrite
fer-train scenes --faces "$run/faces" --fer "$fer2013" --teacher "$yunet" --out "$run/scenes" --count "$scenes"
train first "$steps" 1.5e-3 ""
for seed in 1 2; do
    train "mosaics$seed" "$((steps / 4))" 1e-3 "$run/first/detector.pt" --seed "$seed" --mosaics-only
done
python "$here/average_detectors.py" "$run/mosaics1/detector.pt" "$run/mosaics2/detector.pt" "$run/detector.pt"
fer-export detector "$run/detector.pt" --scenes "$run/scenes" --out "$run/luma.onnx" --score-threshold 0.65 --overwrite
