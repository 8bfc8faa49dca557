"""Labels of your own as a further head on a trained network.

linear_head   features of the frozen trunk, and the layer that is fitted on them
folds         cross-validation of few faces
"""
