"""The faces that both machines classify: drawn ones, shifted and lit at random, and PublicTest faces."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness.inputs import public_test
from fer_edge.demo.scene import CYCLE_S, draw_scene, face_box_at
from fer_edge.framing import Square, crop, to_gray

SIZE = (48, 48)
Crops = npt.NDArray[np.uint8]


def drawn_crops(count: int) -> Crops:
    """`count` drawn faces uint8 [N, 1, 48, 48]: random moments, framings, light and noise; seeded."""
    rng = np.random.default_rng(1)
    crops = np.empty((count, 1, *SIZE), dtype=np.uint8)
    for face in crops:
        t = float(rng.uniform(0, CYCLE_S))
        gray = to_gray(draw_scene(t))
        x, y, width, height = face_box_at(t)
        side = height * float(rng.uniform(0.8, 1.4))
        middle_x, middle_y = x + width / 2, y + height / 2
        shift_x, shift_y = rng.uniform(-0.12, 0.12, 2) * side
        crop(gray, Square(middle_x + float(shift_x), middle_y + float(shift_y), side), SIZE, face[0])
        lit = (face[0] - 128.0) * rng.uniform(0.4, 1.5) + 128 + rng.uniform(-60, 60)
        lit += rng.normal(0, rng.uniform(0, 12), SIZE)
        face[0] = np.clip(lit, 0, 255).astype(np.uint8)
    return crops


def public_test_crops(data: Path, count: int) -> Crops:
    """`count` faces uint8 [N, 1, 48, 48], evenly spaced in PublicTest of fer2013.csv; DataError if unreadable."""
    images = public_test(data).images
    chosen = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int))
    return np.ascontiguousarray(images[chosen][:, None])
