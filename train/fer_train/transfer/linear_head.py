"""Fit a head of few classes on the features of a frozen trunk, and measure it on faces that it did not learn from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from fer_train.networks.base import Network
from fer_train.networks.normalization import normalize
from fer_train.training.augment import Augmentation, augment
from fer_train.transfer.folds import Labels

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # of the weight decay; cross-validation chooses
FACES_PER_FIT = 12_000  # of all augmented views together: about half a minute of one core
MIN_VIEWS, MAX_VIEWS = 3, 24
STEPS = 60
# The trunk knows faces already: views vary the framing and the light, and hide nothing of a small face.
VIEWS = Augmentation(rotation_deg=12, scale=0.1, shift=0.05, brightness=0.3, contrast=0.3, erase=0.0)
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LinearHead:
    """weight: float32 [classes, features]. bias: float32 [classes]."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Logits:
        """Logits float32 [N, classes] of features [N, features]."""
        return np.asarray((features @ self.weight.T + self.bias).numpy(), dtype=np.float32)


@torch.no_grad()
def trunk_features(network: Network, images: npt.NDArray[np.uint8], seed: int) -> Tensor:
    """Features float32 [views, N, F] of faces uint8 [N, 48, 48]: the first view is the faces, the others are augmented.

    The fewer the faces, the more views of each.
    """
    views = int(np.clip(FACES_PER_FIT // max(len(images), 1), MIN_VIEWS, MAX_VIEWS))
    generator = torch.Generator().manual_seed(seed)
    faces = torch.from_numpy(images)
    network.eval()
    rows = []
    for view in tqdm(range(views), "Reading", unit=" views", leave=False, disable=None):
        parts = [
            network.forward_features(normalize(batch) if view == 0 else augment(batch, VIEWS, generator))
            for batch in torch.split(faces, 256)
        ]
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def fit_head(features: Tensor, labels: Labels, classes: int, decay: float) -> LinearHead:
    """Multinomial logistic regression on features [views, N, F] of labels int64 [N]; every class has the same weight.

    decay: weight decay of the standardized features' weights. Deterministic.
    """
    views, _, width = features.shape
    rows = features.reshape(-1, width)
    targets = torch.from_numpy(labels).repeat(views)
    mean, std = rows.mean(0), rows.std(0) + 1e-3
    rows = (rows - mean) / std
    counts = torch.bincount(targets, minlength=classes).float()
    class_weights = counts.sum() / counts.clamp_min(1) / max(int((counts > 0).sum()), 1)
    weight = torch.zeros(classes, width, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(rows @ weight.T + bias, targets, class_weights) + decay * weight.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    scaled = weight.detach() / std
    return LinearHead(scaled, bias.detach() - scaled @ mean)


def cross_validate(features: Tensor, labels: Labels, folds: Labels, classes: int, decay: float) -> Logits:
    """Logits float32 [N, classes] of each face from a head that was fitted on the other folds."""
    logits = np.zeros((len(labels), classes), np.float32)
    for fold in np.unique(folds):
        out = folds == fold
        head = fit_head(features[:, ~out], labels[~out], classes, decay)
        logits[out] = head.logits(features[0, out])
    return logits


def choose_decay(features: Tensor, labels: Labels, folds: Labels, classes: int) -> tuple[float, Logits]:
    """The weight decay with the lowest cross-entropy in cross-validation, and its logits."""
    tried = []
    for decay in tqdm(STRENGTHS, "Fitting", unit=" strengths", leave=False, disable=None):
        logits = cross_validate(features, labels, folds, classes, decay)
        loss = float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))
        tried.append((loss, decay, logits))
    _, decay, logits = min(tried, key=lambda each: each[0])
    return decay, logits
