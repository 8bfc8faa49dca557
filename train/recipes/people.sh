#!/bin/sh
# Cut LFW's faces and sort them by emotion and person: the everyday faces that the head `people` learns.
#
#   sh train/recipes/people.sh TILES LABELS OUT
#
#   TILES   the folder that train/recipes/lfw_tiles.py writes
#   LABELS  a CSV with the columns name and emotion, such as muxspace/facial_expressions' data/legend.csv joined by name
#   OUT     a new folder: train/<emotion>/ and test/<emotion>/, with 40 % of each emotion's people in test/
#
# It takes a minute on one core.
set -eu
fer-train faces "$1" --labels "$2" --keep-aside 0.4 --size 48 --min-face 20 --out "$3"
