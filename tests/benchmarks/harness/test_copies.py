"""Photographs that are in a data set twice."""

import numpy as np
import pytest

from benchmarks.harness.truths import BLOCK, near_copies
from fer_edge.opencv import cv2


def photos(count: int, seed: int = 0) -> np.ndarray:
    """Different smooth images, uint8 [count, 48, 48]."""
    rough = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    return np.stack([cv2.resize(image, (48, 48), interpolation=cv2.INTER_CUBIC) for image in rough])


CHANGES = {
    "none": lambda face: face,
    "darker": lambda face: face // 2 + 20,
    "compressed": lambda face: cv2.imdecode(cv2.imencode(".jpg", face, [1, 20])[1], 0),
    "mirrored": lambda face: face[:, ::-1],
    "cropped": lambda face: cv2.resize(face[1:, 1:], (48, 48)),
    "noisy": lambda face: np.clip(face + np.random.default_rng(1).normal(0, 9, face.shape), 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_photograph_is_known_again(change: str) -> None:
    known = photos(20)
    assert near_copies(CHANGES[change](known[7])[None], known).tolist() == [True]


def test_other_photographs_are_no_copies() -> None:
    known, others = photos(50), photos(BLOCK + 30, seed=1)
    others[[3, BLOCK + 5]] = known[[0, 49]]
    assert np.flatnonzero(near_copies(others, known)).tolist() == [3, BLOCK + 5]
    upside_down = known[:, ::-1]
    assert not near_copies(upside_down, known).any()


def test_flat_faces_and_empty_sets_have_no_copies() -> None:
    flat = np.full((2, 48, 48), 9, np.uint8)
    assert not near_copies(flat, flat).any()
    assert near_copies(photos(2), np.empty((0, 48, 48), np.uint8)).tolist() == [False, False]
    assert near_copies(np.empty((0, 48, 48), np.uint8), flat).tolist() == []
