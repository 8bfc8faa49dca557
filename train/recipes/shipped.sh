#!/bin/sh
# Remake the shipped networks: sh train/recipes/shipped.sh DATA RUN
#   DATA  a folder with fer2013.csv and FER+'s fer2013new.csv
#   RUN   a folder for the training run; 1 to 1.5 hours on two recent CPU cores
# Then `python models/release.py RUN/fer2013.export.json` puts the files into the package.
set -eu
data=$1 run=$2
resume=$([ -e "$run/last.pt" ] && echo --resume || true)
fer-train --data "$data/fer2013.csv" --ferplus "$data/fer2013new.csv" --out "$run" --epochs 48 $resume
fer-export "$run/best.pt" --out "$run/fer2013.onnx" --quantize --calibration-data "$data/fer2013.csv" --overwrite
