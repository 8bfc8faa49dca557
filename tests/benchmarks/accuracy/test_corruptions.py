"""The seven corruptions: seeded, with five strengths, each worse than the one before."""

import numpy as np
import pytest

from benchmarks.accuracy.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from fer_train.data import FaceData


@pytest.fixture
def faces(drawn: FaceData) -> np.ndarray:
    return drawn.images[::10]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_changes_faces_more_than_the_one_before(name: str, faces: np.ndarray) -> None:
    assert len(CORRUPTIONS[name].strengths) == STRENGTHS
    changes = []
    for level in range(STRENGTHS):
        changed = corrupted(faces, CORRUPTIONS[name], level)
        assert changed.shape == faces.shape
        assert changed.dtype == np.uint8
        changes.append(np.abs(changed.astype(float) - faces).mean())
    assert changes[0] > 0
    assert changes == sorted(changes)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_images(name: str, faces: np.ndarray) -> None:
    before = faces.copy()
    first = corrupted(faces, CORRUPTIONS[name], 2, seed=1)
    assert np.array_equal(first, corrupted(faces, CORRUPTIONS[name], 2, seed=1))
    assert np.array_equal(faces, before)


@pytest.mark.parametrize("name", ["noise", "occlusion", "crop jitter"])
def test_randomness_depends_on_the_seed_and_differs_between_faces(name: str, faces: np.ndarray) -> None:
    same = np.repeat(faces[:1], 2, axis=0)
    first, second = corrupted(same, CORRUPTIONS[name], 3)
    assert not np.array_equal(first, second)
    assert not np.array_equal(corrupted(same, CORRUPTIONS[name], 3, seed=1)[0], first)
