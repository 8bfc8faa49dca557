"""Which faces does luma miss? Recall on facemask853 by height, sharpness, roll and turn, and a sheet of missed faces.

Roll and turn come from YuNet's landmarks, where it finds the face. Sharpness is the standard deviation of the Laplacian
of the face at 32x32 pixels. `--enlarge` searches enlarged images. `--light` and `--contrast` reduce the light or the
contrast (sharpness and sheet are of the images before that); `--uncorrected` leaves out luma's light normalization, and
`--once` its second look.

    python -m benchmarks.detector.misses --media DIR --yunet yunet.onnx --sheet missed.png
"""

from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest import mock

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.light import TARGET_GRAY, degraded
from benchmarks.detector.contestants import ANY_SIZE_PX, MIN_SCORE
from benchmarks.detector.drawings import sheet
from benchmarks.detector.photos import (
    MATCH_IOU,
    Boxes,
    Photograph,
    Scores,
    Search,
    dlib,
    facemask,
    score,
    wider,
)
from benchmarks.harness.options import luma_option, media_option, results_command, yunet_option
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table, percent
from fer_edge.console import run_main
from fer_edge.detectors.luma import LumaDetector
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.framing import Image, iou_matrix_xyxy, to_gray
from fer_edge.opencv import cv2

FALSE_BOXES = (84, 122, 400)  # numbers of boxes that touch no label at which recall is listed
CELL_PX, COLUMNS = 80, 16  # of the sheet
Floats = npt.NDArray[np.float64]
EDGES = {
    "height, px": (20, 24, 28, 34, 42, 60, 100, 10_000),
    "sharpness": (0, 20, 40, 60, 1000),
    "roll, degrees": (0, 5, 10, 180),
    "turn": (0, 0.1, 0.2, 0.35, 9),
}


def describe(photograph: Photograph, yunet: cv2.FaceDetectorYN) -> list[list[float]]:
    """A row per wanted face: the values of EDGES. Roll and turn are NaN if YuNet does not find the face.

    Turn is the distance of the nose from the middle of the eyes, in eye distances.
    """
    image = photograph.read()
    gray = to_gray(image)
    yunet.setInputSize((image.shape[1], image.shape[0]))
    seen = yunet.detect(image)[1]
    seen = np.empty((0, 15), np.float32) if seen is None else seen
    boxes = np.concatenate([seen[:, :2], seen[:, :2] + seen[:, 2:4]], axis=1)
    overlap = iou_matrix_xyxy(photograph.wanted, boxes)
    rows = []
    for face, overlaps in zip(photograph.wanted, overlap, strict=True):
        left, top, right, bottom = (max(0, int(value)) for value in face)
        cut = cv2.resize(gray[top:bottom, left:right], (32, 32))
        roll = turn = float("nan")
        if overlaps.max(initial=0) >= MATCH_IOU:
            eye, other, nose = seen[overlaps.argmax(), 4:10].reshape(3, 2)
            between = other - eye
            roll = float(abs(np.degrees(np.arctan2(between[1], between[0]))))
            turn = float(abs((nose - (eye + other) / 2) @ between) / max(float(between @ between), 1.0))
        rows.append([face[3] - face[1], float(np.asarray(cv2.Laplacian(cut, cv2.CV_32F)).std()), roll, turn])
    return rows


def table(values: Floats, found: npt.NDArray[np.bool_]) -> Table:
    """Recall in each range of EDGES; values: [faces, 4]."""
    rows = []
    for column, (name, edges) in enumerate(EDGES.items()):
        for low, high in pairwise(edges):
            chosen = (values[:, column] >= low) & (values[:, column] < high)
            if chosen.any():
                last = "and more" if high == edges[-1] else f"to {high}"
                rows.append([name, f"{low} {last}", str(chosen.sum()), percent(float(found[chosen].mean()))])
    return Table("Found, at the detector's own threshold", ["", "range", "faces", "recall"], rows)


def threshold_table(scores: Scores, others: Scores, own: float) -> Table:
    """Recall and boxes that touch no label, at the detector's own threshold and at those of FALSE_BOXES."""
    false = np.sort(np.asarray(scores.false))[::-1]
    thresholds = {"its own": own} | {
        f"{count} false boxes": float(false[count - 1]) for count in FALSE_BOXES if count <= len(false)
    }
    rows = [
        [name, f"{at:.2f}", percent(scores.recall(at)), str(scores.false_boxes(at)), percent(others.recall(at)),
         str(others.false_boxes(at))]
        for name, at in thresholds.items()
    ]  # fmt: skip
    columns = ["threshold", "", "recall", "false boxes", "dlib and wider_val10", "false boxes"]
    return Table("By threshold", columns, rows, "A false box touches no label.")


def with_surroundings(gray: Image, face: Boxes) -> Image:
    """The face with half its height around it, uint8 [CELL_PX, CELL_PX]."""
    left, top, right, bottom = (int(value) for value in face)
    margin = (bottom - top) // 2 + 1
    wide = cv2.copyMakeBorder(gray, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    cut = wide[max(0, top) : bottom + 2 * margin, max(0, left) : right + 2 * margin]
    return np.asarray(cv2.resize(cut, (CELL_PX, CELL_PX)), dtype=np.uint8)


def degraded_search(detector: LumaDetector, shares: dict[str, float], enlarge: float) -> Search:
    """Luma on images with these shares of light and contrast (by TARGET_GRAY), enlarged by that factor."""

    def search(image: Image) -> tuple[Boxes, npt.NDArray[np.float32]]:
        gray = to_gray(image)
        for case, share in shares.items():
            if share < 1:
                gray = degraded(gray, TARGET_GRAY[case], share, 0.0)
        if enlarge != 1:
            gray = np.asarray(cv2.resize(gray, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
        boxes, scores = detector.search(gray, MIN_SCORE)
        return boxes / np.float32(enlarge), scores

    return search


@click.command(help=__doc__)
@media_option
@yunet_option(required=True)
@luma_option
@click.option("--enlarge", type=click.FloatRange(0.25, 4), default=1.0, metavar="F", help="Enlarge images by F.")
@click.option("--light", type=click.FloatRange(0, 1), default=1.0, metavar="S", help="Share of the light left.")
@click.option("--contrast", type=click.FloatRange(0, 1), default=1.0, metavar="S", help="Share of the contrast left.")
@click.option("--uncorrected", is_flag=True, help="Search dark and hazy images without light normalization.")
@click.option("--once", is_flag=True, help="Leave out the second look at small uncertain faces.")
@click.option("--sheet", "sheet_file", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw missed faces.")
@results_command()
def main(
    media: Path, yunet: Path, luma: Path | None, enlarge: float, light: float, contrast: float, uncorrected: bool,
    once: bool, sheet_file: Path | None,
) -> Results:  # fmt: skip
    """Measure, print, write, draw."""
    results = Results("misses", "Which faces does luma miss?")
    detector = LumaDetector(luma, 1, ANY_SIZE_PX)
    if once:
        detector.terms = replace(detector.terms, second_look=None)
    YunetDetector(yunet)  # reports in one line what is wrong with the file
    landmarks = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.3)
    search = degraded_search(detector, {"darkness": light, "haze": contrast}, enlarge)
    photographs = facemask(media / "detection" / "facemask853")
    more = dlib(media / "detection", media / "stills") + wider(media / "detection" / "wider_val10")
    without_normalization = mock.patch("fer_edge.detectors.luma.lighting_table", lambda _image: None)
    with without_normalization if uncorrected else nullcontext():
        scores, others = score(search, photographs), score(search, more)
    found = np.asarray(scores.found) >= detector.terms.score_threshold
    wanted = [photograph for photograph in photographs if len(photograph.wanted)]
    values = np.array([row for photograph in wanted for row in describe(photograph, landmarks)], np.float64)
    results.tables = [table(values, found), threshold_table(scores, others, detector.terms.score_threshold)]
    if sheet_file is not None:
        faces = [(to_gray(photograph.read()), face) for photograph in wanted for face in photograph.wanted]
        missed = [with_surroundings(gray, face) for (gray, face), seen in zip(faces, found, strict=True) if not seen]
        if missed:
            cv2.imwrite(str(sheet_file), sheet(missed, COLUMNS))
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.detector.misses")
