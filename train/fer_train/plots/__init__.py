"""Plots of data and results as PNG files.

curves       loss and accuracy per epoch
data         faces per class, and samples
evaluation   predictions and mistakes, and all plots of one evaluation
scores       confusion matrix and reliability diagram
style        colors, frames, sheets of faces, and how a figure is saved

What is plotted is computed elsewhere: in training/, evaluation/ and data/.
"""

from fer_train.plots.curves import plot_curves
from fer_train.plots.data import plot_classes, plot_samples
from fer_train.plots.evaluation import EVALUATION_PLOTS, plot_evaluation, plot_mistakes, plot_predictions
from fer_train.plots.scores import plot_confusion, plot_reliability

__all__ = [
    "EVALUATION_PLOTS",
    "plot_classes",
    "plot_confusion",
    "plot_curves",
    "plot_evaluation",
    "plot_mistakes",
    "plot_predictions",
    "plot_reliability",
    "plot_samples",
]
