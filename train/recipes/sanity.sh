#!/bin/sh
# Does each ingredient train? A few faces, a small student, minutes on a CPU: sh train/recipes/sanity.sh DATA OUT [EPOCHS]
#   DATA  a folder with fer2013.csv and few-faces.npz (from unlabelled_faces.py --every 10)
#   OUT   a folder for the runs
# Every 20th Training face and every 4th of PublicTest. The teacher is the shipped network; it learned from all of
# Training, so that the distilled runs know more than the plain one.
set -eu
data=$1 out=$2 epochs=${3:-12}
mkdir -p "$out"
awk 'NR == 1 || (/PublicTest/ && NR % 4 == 0) || (/Training/ && NR % 20 == 2)' "$data/fer2013.csv" > "$out/few.csv"
run() {
    name=$1
    shift
    [ -e "$out/$name/metrics.json" ] && return
    fer-train --data "$out/few.csv" --out "$out/$name" --model edgeresnet-small --epochs "$epochs" --batch-size 64 \
        --threads 1 --overwrite "$@"
}
teacher=models/checkpoints/fer2013.pt
run plain
run distilled --teacher "$teacher"
run balanced-weights --class-weights balanced
run balanced-sampling --balanced-sampling
run mixup --mixup 0.4
run unlabelled --teacher "$teacher" --unlabelled "$data/few-faces.npz"
