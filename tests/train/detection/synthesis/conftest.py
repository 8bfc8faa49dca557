"""Tiles of the demo's drawn person, and teachers that return what a test gives them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fer_edge.demo.scene import CYCLE_S, draw_scene, face_box_at
from fer_edge.framing import to_gray
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.tiles import COLUMNS, FaceTiles, load_tiles


def drawn_tile(moment: float) -> tuple[np.ndarray, list[float]]:
    """A tile of the demo's person, uint8 [128, 128], and the face's box."""
    x, y, width, height = face_box_at(moment)
    side = int(2 * height)
    left, top = max(int(x + width / 2 - side / 2), 0), max(int(y + height / 2 - side / 2), 0)
    cut = to_gray(draw_scene(moment))[top : top + side, left : left + side]
    scale = 128 / cut.shape[0]
    return cv2.resize(cut, (128, 128)), [(x - left) * scale, (y - top) * scale, width * scale, height * scale]


@pytest.fixture(scope="session")
def first_tile() -> tuple[np.ndarray, list[float]]:
    """What the first tile of `tile_folder` was drawn as."""
    return drawn_tile(0.0)


@pytest.fixture(scope="session")
def tile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tiles in the form of a folder of photos; every fourth shows no face."""
    folder = tmp_path_factory.mktemp("faces")
    tiles, rows = [], [",".join(COLUMNS)]
    for number in range(40):
        tile, (x, y, width, height) = drawn_tile(number * CYCLE_S / 40)
        if number % 4 == 3:
            tile = np.random.default_rng(number).integers(60, 200, (128, 128), dtype=np.uint8)
        else:
            eyes, mouth, nose = y + height * 0.4, y + height * 0.8, x + width / 2
            cells = (number, x, y, width, height, 0.9, nose - 12, eyes, nose + 12, eyes, nose, y + height * 0.6)
            rows.append(",".join(map(str, (*cells, mouth, mouth))))
        tiles.append(tile)
    cv2.imwrite(str(folder / "tiles_00.jpg"), np.hstack(tiles))
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiles(tile_folder: Path) -> FaceTiles:
    return load_tiles(tile_folder)


class FakeTeacher:
    """Sees the faces that a test gives: rows of five, or a function of the image; agrees with every label."""

    def __init__(self, faces: object = (), best: Callable[[np.ndarray], np.ndarray | None] | None = None) -> None:
        self.seen, self.best = faces, best

    def detect(self, image: np.ndarray) -> np.ndarray:
        rows = self.seen(image) if callable(self.seen) else self.seen
        return np.array(rows, np.float32).reshape(-1, 5)

    def detect_best(self, image: np.ndarray) -> np.ndarray | None:
        return self.best(image) if self.best else None

    def relabel(self, _scene: np.ndarray, faces: np.ndarray) -> np.ndarray:
        return faces


@pytest.fixture(scope="session")
def teacher() -> type[FakeTeacher]:
    """FakeTeacher: call it to get a teacher."""
    return FakeTeacher
