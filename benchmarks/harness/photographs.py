"""Press photographs of people kept aside, with their labels and with the boxes that detectors find."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.harness.heads import EMOTIONS
from benchmarks.harness.truths import people_of, people_set, photograph_of
from fer_edge.detectors.base import FramedDetector
from fer_edge.errors import DataError
from fer_edge.framing import Box
from fer_train.data.classes import canonical
from fer_train.detection.synthesis.tiles import TILE_PX, load_tiles

MIDDLE_PX = 30  # a tile shows its person in the middle; other faces are bystanders
Boxes = list[Box | None]
"""The box of each photograph's person, None where there is none."""


@dataclass(frozen=True)
class Photographs:
    """Photographs of people.

    images: uint8 [128, 128], gray, each. labels: int64 [N], indices into EMOTIONS. people: int64 [N], whom each shows,
    from 0. names: such as First_Last_0001. tiles: int64 [N], its number in boxes.csv. yunet: YuNet's boxes, which come
    with the tiles.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    people: npt.NDArray[np.int64]
    names: tuple[str, ...]
    tiles: npt.NDArray[np.int64]
    yunet: Boxes

    def __len__(self) -> int:
        return len(self.labels)


def load_photographs(tiles: Path, labels: Path, people: Path, count: int = 0, seed: int = 0) -> Photographs:
    """The labeled tiles whose photographs are in `people`/test; `count` random ones, or all if it is 0.

    DataError if a file cannot be read, or none of the labeled tiles is kept aside.
    """
    aside = {photograph_of(name) for name in people_set(people).names.tolist()}
    rows = [row for row in read_table(labels) if row[1] in aside and row[2] in EMOTIONS]
    if not rows:
        raise DataError(f"{labels} names no photograph of {people}/test: are they of the same people?")
    if 0 < count < len(rows):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
        rows = [rows[index] for index in chosen]
    found = load_tiles(tiles)
    if max(row[0] for row in rows) >= len(found):
        raise DataError(f"{labels} names tile {max(row[0] for row in rows)}, but {tiles} holds {len(found)}")
    numbers = np.array([row[0] for row in rows], dtype=np.int64)
    names = tuple(row[1] for row in rows)
    yunet = [middle_box([as_box(box) for box in found.boxes[number]]) for number in numbers]
    emotions = np.array([EMOTIONS.index(row[2]) for row in rows], dtype=np.int64)
    return Photographs(
        found.images[numbers], emotions, people_of([f"{name}.png" for name in names]), names, numbers, yunet
    )


def read_table(path: Path) -> list[tuple[int, str, str]]:
    """Tile, name and emotion of each row of a CSV with these columns; DataError if it has none of them."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(int(row["tile"]), row["name"], canonical(row["emotion"])) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError) as error:  # TypeError: a row with fewer cells
        raise DataError(f"{path} is not a CSV with the columns tile, name and emotion ({error})") from error


def detected(detector: FramedDetector, images: npt.NDArray[np.uint8]) -> Boxes:
    """The box of the person in the middle of each image, as `detector` finds it."""
    return [middle_box([found.box for found in detector.detect(image)]) for image in images]


def middle_box(boxes: list[Box]) -> Box | None:
    """The largest box whose center is within MIDDLE_PX of a tile's; None if there is none."""
    inside = [box for box in boxes if is_in_the_middle(box)]
    return max(inside, key=lambda box: box[2] * box[3]) if inside else None


def is_in_the_middle(box: Box) -> bool:
    """True if the box's center is within MIDDLE_PX of the tile's."""
    x, y, width, height = box
    return max(abs(x + width / 2 - TILE_PX / 2), abs(y + height / 2 - TILE_PX / 2)) < MIDDLE_PX


def as_box(row: npt.NDArray[np.floating[Any]]) -> Box:
    """x, y, width and height of a row of FaceTiles.boxes."""
    x, y, width, height = (float(value) for value in row[:4])
    return x, y, width, height
