"""Pictures of data and results, as PNGs that a report can show."""

from fer_train.plots.curves import plot_curves
from fer_train.plots.data import plot_classes, plot_samples
from fer_train.plots.evaluation import EVALUATION_PICTURES, plot_evaluation, plot_mistakes, plot_predictions
from fer_train.plots.scores import plot_confusion, plot_reliability

__all__ = [
    "EVALUATION_PICTURES",
    "plot_classes",
    "plot_confusion",
    "plot_curves",
    "plot_evaluation",
    "plot_mistakes",
    "plot_predictions",
    "plot_reliability",
    "plot_samples",
]
