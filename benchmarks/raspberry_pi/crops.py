"""The faces that both machines are asked about: drawn ones, moved and lit at random, and FER2013's if it is there."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.demo.scene import CYCLE_S, draw_scene, face_box_at
from fer_edge.framing import Square, crop
from fer_edge.opencv import cv2
from fer_train.data import PUBLIC_TEST, load_faces

SIZE = (48, 48)
Crops = npt.NDArray[np.uint8]


def drawn_crops(count: int, seed: int = 1) -> Crops:
    """`count` faces uint8 [N, 1, 48, 48] of the drawn person: any moment, framed loosely, lit and blurred at random."""
    rng = np.random.default_rng(seed)
    crops = np.empty((count, 1, *SIZE), dtype=np.uint8)
    for face in crops:
        t = float(rng.uniform(0, CYCLE_S))
        gray = np.asarray(cv2.cvtColor(draw_scene(t), cv2.COLOR_BGR2GRAY), dtype=np.uint8)
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
    """`count` faces uint8 [N, 1, 48, 48] spread evenly over PublicTest of fer2013.csv, or DataError."""
    images = load_faces(data).split(PUBLIC_TEST).images
    chosen = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int))
    return np.ascontiguousarray(images[chosen][:, None])
