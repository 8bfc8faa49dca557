#!/bin/sh
# Train the shipped emotion network and export it.
#
#   sh train/recipes/shipped.sh DATA RUN PEOPLE
#
#   DATA    a folder with fer2013.csv and FER+'s fer2013new.csv
#   RUN     a folder for the training runs
#   PEOPLE  faces labeled with what people would say, cut as the detector frames them: train/<class>/ and test/<class>/
#
# This takes 3 to 5 hours on two recent CPU cores with bfloat16. Start it again to resume after an interruption.
# Then `python -m fer_export.release RUN/fer2013.export.json` puts the files into the package.
#
# First edgeresnet is trained. Then edgeresnet-deep starts from its weights and learns from it as a teacher, whose answers
# are less noisy than FER2013's labels. The third run uses weaker augmentation, with the second network as the teacher.
# It knows FER2013's labels; the run "heads" adds what people say, and keeps that by learning from the third network.
# The last run has weaker augmentation again.
# Each run keeps its last epoch: the best one of a run that starts from a trained network may be its first, by chance, and
# then the rest is lost.
set -eu
stop() { # STATUS TEXT
    echo "shipped.sh: $2" >&2
    exit "$1"
}
[ $# -eq 3 ] || stop 2 "usage: sh train/recipes/shipped.sh DATA RUN PEOPLE, explained at the top of the file"
data=$1 run=$2 people=$3 needed_mb=300
for file in "$data/fer2013.csv" "$data/fer2013new.csv"; do
    [ -r "$file" ] || stop 1 "$file is missing: DATA holds fer2013.csv and FER+'s fer2013new.csv"
done
for part in "$people/train" "$people/test"; do
    [ -d "$part" ] || stop 1 "$part is missing: PEOPLE holds train/<class>/ and test/<class>/, see people.sh"
done
for name in fer-train fer-export; do
    command -v "$name" > /dev/null || stop 1 "$name is not installed: pip install '.[train,export]'"
done
mkdir -p "$run" 2> /dev/null || stop 1 "$run can't be created: RUN names a folder for the training runs"
free_mb=$(($(df -Pk "$run" | awk 'NR == 2 { print $4 }') * 1024 / 1000000))
[ "$free_mb" -ge "$needed_mb" ] || stop 1 "$run has $free_mb MB free, and the runs need $needed_mb MB"
if [ ! -e "$run/first/last.pt" ]; then # hours before the first run that reads the votes and the people
    fer-train summary --data "$data/fer2013.csv" --ferplus "$data/fer2013new.csv"
    fer-train summary --data "$people"
fi
# glibc gives large blocks back to the system after each step and asks for them again: a twelfth of the time.
export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_TOP_PAD_=67108864
strong=standard,rotation_deg=18,scale=0.16,shift=0.08,aspect=0.08,shear_deg=5,blur=0.1,noise=0.1
train() { # NAME OPTIONS...: train, or resume
    name=$1
    shift
    resume=""
    if [ -e "$run/$name/last.pt" ]; then
        resume=--resume
    elif [ ! -e "$run/$name/metrics.json" ]; then
        resume=--overwrite # what a first epoch left that was interrupted
    fi
    fer-train --data "$data/fer2013.csv" --out "$run/$name" --keep last $resume "$@"
}
extend() { # NAME FROM OPTIONS...: start from the weights of the run FROM, which is also the teacher
    name=$1 from=$run/$2/best.pt
    shift 2
    train "$name" --model edgeresnet-deep --init-weights "$from" --teacher "$from" --distill-weight 0.5 \
        --distill-temperature 2 "$@"
}
train first --ferplus "$data/fer2013new.csv" --epochs 48
extend second first --ferplus "$data/fer2013new.csv" --epochs 72 --mixup 0.2 --augment "$strong"
extend third second --epochs 5 --lr 0.01 --ema-decay 0.998
train heads --model edgeresnet-deep --ferplus "$data/fer2013new.csv" --people "$people" --people-weight 0.25 \
    --heads people,ferplus,fer2013=1.5 --init-weights "$run/third/best.pt" --teacher "$run/third/best.pt" \
    --distill-weight 0.667 --distill-temperature 2 --label-smoothing 0 --epochs 24 --lr 0.04 --mixup 0.2 \
    --augment "$strong"
train last --model edgeresnet-deep --ferplus "$data/fer2013new.csv" --people "$people" --people-weight 0.25 \
    --heads people,ferplus,fer2013=2 --init-weights "$run/heads/best.pt" --teacher "$run/third/best.pt" \
    --distill-weight 0.667 --distill-temperature 2 --label-smoothing 0 --epochs 8 --lr 0.015 --ema-decay 0.998 \
    --augment standard,rotation_deg=15,scale=0.14,shift=0.07
fer-export "$run/last/best.pt" --out "$run/fer2013.onnx" --quantize --calibration-data "$data/fer2013.csv" \
    --ferplus "$data/fer2013new.csv" --people "$people" --min-confidence 0.5 --overwrite
