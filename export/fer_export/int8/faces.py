"""Choose the Training faces that calibrate int8, and those on which a calibrator is chosen."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fer_edge.errors import DataError
from fer_export.int8.settings import MIN_CALIBRATION_IMAGES
from fer_train.data import PUBLIC_TEST, TRAINING, FaceData, also_in

TUNING_IMAGES = 2048


class Chosen(NamedTuple):
    """Faces to calibrate on, other faces to choose a calibrator on, and whether mirror images are among the first."""

    calibration: FaceData
    tuning: FaceData
    mirrored: bool


def choose_faces(data: FaceData, calibrating: int, tuning: int, seed: int) -> Chosen:
    """Up to `calibrating` Training faces to calibrate on, and up to `tuning` others to choose a calibrator on.

    Both are drawn with `seed`, as evenly over the classes as the faces allow. No image is in both or in PublicTest,
    so that nothing is measured on what it was fitted to. Of fewer than MIN_CALIBRATION_IMAGES faces, all calibrate,
    and their mirror images as well. Raises DataError if there is none.
    """
    training = data.split(TRAINING)
    candidates = training.rows(~also_in(training.images, data.split(PUBLIC_TEST).images))
    if not len(candidates):
        raise DataError(
            f"{data.path} has no training faces that are not test faces too, and calibration needs some: add faces, "
            "or export without --quantize"
        )
    if len(candidates) < MIN_CALIBRATION_IMAGES:
        none = candidates.rows(np.zeros(len(candidates), dtype=np.bool_))
        return Chosen(_with_mirror_images(candidates), none, mirrored=True)
    rng = np.random.default_rng(seed)
    calibration = _draw(candidates, calibrating, rng)
    others = candidates.rows(~also_in(candidates.images, calibration.images))
    return Chosen(calibration, _draw(others, tuning, rng), mirrored=False)


def _with_mirror_images(faces: FaceData) -> FaceData:
    """`faces`, followed by their mirror images."""
    twice = np.concatenate([np.arange(len(faces))] * 2)
    images = np.concatenate([faces.images, faces.images[:, :, ::-1]])
    votes = None if faces.votes is None else faces.votes[twice]
    names = None if faces.names is None else faces.names[twice]
    return replace(faces, images=images, labels=faces.labels[twice], usage=faces.usage[twice], votes=votes, names=names)


def _draw(faces: FaceData, count: int, rng: np.random.Generator) -> FaceData:
    """`count` of the faces, or all if there are fewer, as evenly over the classes as they allow."""
    quotas = _even_quotas(list(faces.counts().values()), count)
    chosen = np.zeros(len(faces), dtype=np.bool_)
    for label, quota in enumerate(quotas):
        chosen[rng.permutation(np.flatnonzero(faces.labels == label))[:quota]] = True
    return faces.rows(chosen)


def _even_quotas(available: list[int], total: int) -> list[int]:
    """How many of each class to take: `total` together, or all that are available, with quotas as equal as possible."""
    quotas, left = [0] * len(available), min(total, sum(available))
    # Smallest class first: what it lacks is spread over those that follow.
    for place, label in enumerate(sorted(range(len(available)), key=lambda label: available[label])):
        quotas[label] = min(available[label], left // (len(available) - place))
        left -= quotas[label]
    return quotas
