"""Draw the boxes of every detector on clips and stills, to inspect them."""

from pathlib import Path

import numpy as np

from benchmarks.detector.contestants import Contestants
from benchmarks.harness.inputs import video_frames
from fer_edge.framing import Image
from fer_edge.opencv import cv2

COLORS_BGR = {"haar": (60, 60, 255), "yunet": (255, 160, 0), "luma": (0, 220, 0)}
CELL_WIDTH_PX, CELLS, COLUMNS, STEP = 420, 12, 4, 25


def draw(contestants: Contestants, media: Path, folder: Path) -> None:
    """Write a sheet of frames per clip of `media`, and a copy per still, with all boxes drawn, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in sorted((media / "videos").iterdir()):
        frames = list(video_frames(clip, STEP))[:CELLS]
        cv2.imwrite(str(folder / f"{clip.stem}.jpg"), sheet([cell(with_boxes(frame, contestants)) for frame in frames]))
    for still in sorted((media / "stills").iterdir()):
        image = cv2.imread(str(still), cv2.IMREAD_COLOR)
        if image is not None:
            cv2.imwrite(str(folder / f"{still.stem}.jpg"), with_boxes(np.asarray(image, np.uint8), contestants))


def with_boxes(image: Image, contestants: Contestants) -> Image:
    """A copy of `image` with each detector's boxes, and luma's scores."""
    drawn = image.copy()
    for name, contestant in contestants.items():
        for one in contestant.detector.detect(image):
            x, y, w, h = (round(value) for value in one.box)
            cv2.rectangle(drawn, (x, y), (x + w, y + h), COLORS_BGR[name], 2)
            if name == "luma":
                label, font = f"{one.score:.2f}", cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(drawn, label, (x, y - 3), font, 0.45, COLORS_BGR[name], 1, cv2.LINE_AA)
    return drawn


def cell(image: Image) -> Image:
    """The image at CELL_WIDTH_PX."""
    size = (CELL_WIDTH_PX, round(CELL_WIDTH_PX * image.shape[0] / image.shape[1]))
    return np.asarray(cv2.resize(image, size), dtype=np.uint8)


def sheet(cells: list[Image], columns: int = COLUMNS) -> Image:
    """Cells of one size side by side, the last row filled with black."""
    filled = [*cells, *[np.zeros_like(cells[0])] * (-len(cells) % columns)]
    return np.vstack([np.hstack(filled[start : start + columns]) for start in range(0, len(filled), columns)])
