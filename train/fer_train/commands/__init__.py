"""The commands of fer-train, one file each, and a folder for search. They parse options, call others and log to stderr.

train, faces, head, scenes, detector, evaluate, predict, summary, convert and search are commands. Shared by them:

data_options      options that say what data to read
training_options  options that say how to train, and the trainer they lead to
training_log      what a training run prints

Modules import torch, pandas and OpenCV inside their functions, so that `--help` answers fast.
"""
