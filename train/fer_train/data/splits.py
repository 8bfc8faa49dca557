"""Hold out a part of a data set for testing."""

from dataclasses import replace

import numpy as np

from fer_edge.errors import DataError
from fer_train.data.faces import PUBLIC_TEST, TRAINING, FaceData, fingerprints

HELD_OUT_FRACTION = 0.2


def hold_out(data: FaceData) -> FaceData:
    """Move a stratified, seeded 20 % of the Training rows to PublicTest; equal faces stay together in one part."""
    generator = np.random.default_rng(0)
    first: dict[bytes, int] = {}
    original = np.array([first.setdefault(mark, row) for row, mark in enumerate(fingerprints(data.images))])
    trained = data.usage == TRAINING
    held_out = np.zeros(len(data), dtype=np.bool_)
    for label in range(len(data.classes)):
        members = np.flatnonzero(trained & (data.labels == label) & (original == np.arange(len(data))))
        held_out[generator.permutation(members)[: round(HELD_OUT_FRACTION * len(members))]] = True
    if not held_out.any():
        raise DataError(f"{data.path} has too few different faces to hold any out for testing: give 3 or more a class")
    usage = np.where(trained & held_out[original], PUBLIC_TEST, data.usage)
    moved = int((usage != data.usage).sum())
    return replace(data, usage=usage).noting(
        f"no PublicTest faces: {moved:,} of the {int(trained.sum()):,} Training faces, a fifth of each class, are "
        "held out as such"
    )
