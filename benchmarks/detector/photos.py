"""Score a detector on photos with annotated faces: at which score each face is found, and which boxes are false.

None of these photos takes part in training.
"""

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.framing import iou_matrix_xyxy
from fer_edge.opencv import cv2

MATCH_IOU = 0.35  # overlap from which an annotated face counts as found
Boxes = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Search = Callable[[Pixels], tuple[Boxes, npt.NDArray[np.float32]]]
"""Takes BGR, uint8 [H, W, 3]; gives boxes float32 [K, 4] (left, top, right, bottom) and their scores [K]."""


@dataclass(frozen=True)
class Photograph:
    """An image file, the faces to be found in it and all its labels, float32 [N, 4]: left, top, right, bottom.

    min_px: height from which faces must be found; lower boxes are neither wanted nor false.
    """

    file: Path
    wanted: Boxes
    labels: Boxes
    min_px: int = 0

    def read(self) -> Pixels:
        """uint8 BGR [H, W, 3]; DataError if it can't be read."""
        image = cv2.imread(str(self.file), cv2.IMREAD_COLOR)
        if image is None:
            raise DataError(f"{self.file} can't be read as an image")
        return np.asarray(image, dtype=np.uint8)


@dataclass
class Scores:
    """A detector's scores on a set of photos.

    found: the score at which each wanted face is found, -inf if never; overlaps: its overlap with the annotation.
    false: the scores of all false boxes, which touch no label of their photo.
    """

    found: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(self.found + other.found, self.overlaps + other.overlaps, self.false + other.false)

    def recall(self, threshold: float) -> float:
        """Share of the wanted faces that are found at that score."""
        return float(np.mean(np.asarray(self.found) >= threshold))

    def false_boxes(self, threshold: float) -> int:
        """Number of boxes at that score that touch no label."""
        return int(np.sum(np.asarray(self.false) >= threshold))

    def mean_overlap(self, threshold: float) -> float:
        """Mean overlap of the faces found with their annotation."""
        return float(np.mean(np.asarray(self.overlaps)[np.asarray(self.found) >= threshold]))

    def curve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """False boxes and recall, both rising, for every threshold at which one more false box appears."""
        thresholds = np.sort(np.asarray(self.false))[::-1]
        found = np.sort(np.asarray(self.found))
        recall = 1 - np.searchsorted(found, thresholds, side="left") / len(found)
        return np.arange(1, len(thresholds) + 1, dtype=np.float64), recall


def score(search: Search, photographs: Sequence[Photograph]) -> Scores:
    """Run `search`, which should return its faint boxes too, on all photos at their own size."""
    total = Scores()
    for photograph in photographs:
        boxes, scores = search(photograph.read())
        large = boxes[:, 3] - boxes[:, 1] >= photograph.min_px
        total = total + match(boxes, scores, photograph.wanted, photograph.labels, large)
    return total


def match(
    boxes: Boxes, scores: npt.NDArray[np.float32], wanted: Boxes, labels: Boxes, large: npt.NDArray[np.bool_]
) -> Scores:
    """Match each wanted face with one box at most, best first; other `large` boxes that touch no label are false."""
    result = Scores([-np.inf] * len(wanted), [0.0] * len(wanted))
    overlap = iou_matrix_xyxy(boxes, wanted)
    touching = iou_matrix_xyxy(boxes, labels).max(axis=1, initial=0) > 0
    for place in np.argsort(-scores, kind="stable"):
        free = [
            face for face in range(len(wanted)) if result.found[face] == -np.inf and overlap[place, face] >= MATCH_IOU
        ]
        if free:
            best = max(free, key=lambda face: overlap[place, face])
            result.found[best], result.overlaps[best] = float(scores[place]), float(overlap[place, best])
        elif large[place] and not touching[place]:
            result.false.append(float(scores[place]))
    return result


def _photograph(file: Path, labels: Sequence[Sequence[float]], wanted: Sequence[bool], min_px: int) -> Photograph:
    boxes = np.asarray(labels, np.float32).reshape(-1, 4)
    return Photograph(file, boxes[np.asarray(wanted, dtype=np.bool_)], boxes, min_px)


@contextmanager
def _annotations(file: Path) -> Iterator[Path]:
    """Yield `file`; errors while its annotations are read become a DataError."""
    try:
        yield file
    except OSError as error:
        raise DataError(f"{file} can't be read ({error.strerror}): name the folder that holds it") from error
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error, ET.ParseError) as error:
        raise DataError(f"{file} holds no face boxes, or is damaged ({type(error).__name__}: {error})") from error


def facemask(folder: Path, min_px: int = 20) -> list[Photograph]:
    """facemask853: boxes.csv and images/. Wanted are faces labeled without_mask that are at least `min_px` high.

    DataError if boxes.csv can't be read.
    """
    rows: dict[str, list[tuple[list[float], bool]]] = {}
    with _annotations(folder / "boxes.csv") as path, path.open(newline="") as file:
        for row in csv.DictReader(file):
            box = [float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
            wanted = row["label"] == "without_mask" and box[3] - box[1] >= min_px
            rows.setdefault(row["image"], []).append((box, wanted))
        if not rows:
            raise ValueError("no rows")
    return [
        _photograph(folder / "images" / name, [box for box, _ in faces], [wanted for _, wanted in faces], min_px)
        for name, faces in rows.items()
    ]


def wider(folder: Path, min_px: int = 24) -> list[Photograph]:
    """wider_val10: gt.json and its images. Wanted are faces at least `min_px` high; raises as `facemask` does."""
    with _annotations(folder / "gt.json") as file:
        truth = json.loads(file.read_text())
        if not truth:
            raise ValueError("no images")
        return [
            _photograph(
                folder / name, entry["faces_xyxy"], [box[3] - box[1] >= min_px for box in entry["faces_xyxy"]], min_px
            )
            for name, entry in truth.items()
        ]


def dlib(folder: Path, stills: Path, min_px: int = 24) -> list[Photograph]:
    """dlib_*.xml of `folder`, for images in `stills`. Wanted are faces at least `min_px` high; raises as `facemask`."""
    photographs = []
    for place in sorted(folder.glob("dlib_*.xml")):
        with _annotations(place) as file:
            for image in ET.parse(file).getroot().iter("image"):
                boxes = []
                for box in image.iter("box"):
                    left, top, width, height = (float(box.attrib[name]) for name in ("left", "top", "width", "height"))
                    boxes.append([left, top, left + width, top + height])
                wanted = [box[3] - box[1] >= min_px for box in boxes]
                photographs.append(_photograph(stills / image.attrib["file"], boxes, wanted, min_px))
    if not photographs:
        raise DataError(f"{folder} holds no dlib_*.xml with images: name the folder that holds them")
    return photographs
