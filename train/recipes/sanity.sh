#!/bin/sh
# Check that each training option works: few faces and a small student, minutes on a CPU.
#
#   sh train/recipes/sanity.sh DATA OUT [EPOCHS]
#
#   DATA  a folder with fer2013.csv and few-faces.npz (from unlabeled_faces.py --every 10)
#   OUT   a folder for the runs
#
# The data is every 20th Training face and every 4th PublicTest face. The teacher is the shipped network, which has seen
# all Training faces: the runs with a teacher have an advantage over the plain one.
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
run unlabelled --teacher "$teacher" --unlabeled "$data/few-faces.npz"
