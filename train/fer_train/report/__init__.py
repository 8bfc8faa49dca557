"""report.html: the figures and pictures of a run in one file, to read and to hand in.

page    HTML without scripts or other files: text, tables, pictures
scores  the figures of heads, their confusion matrices, options and data
run     everything that a training run writes beside its checkpoint
tensorboard   the same, live, for TensorBoard
"""
