"""Which faces does our detector miss? Its recall on facemask853 by their height, sharpness, roll and turn, and a sheet.

Roll and turn are by YuNet's landmarks, where it sees the face. Sharpness is the standard deviation of the Laplacian of
the face at 32x32 pixels. `--enlarge` searches the pictures larger: what does that find more? `--light` and `--contrast`
leave them only a share of their own (sharpness and sheet are of the pictures before that); `--uncorrected` shows what
they cost where luma doesn't make the light good, `--once` what luma finds without its second look.

    python -m benchmarks.detector.misses --media DIR --yunet yunet.onnx --sheet missed.png
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise as neighbors
from pathlib import Path
from unittest import mock

import click
import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.light import SPOILT, spoilt
from benchmarks.harness.presenting import Table, percent
from fer_edge.console import run_main
from fer_edge.detectors.luma import LumaDetector
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.framing import Image, to_gray
from fer_edge.opencv import cv2
from fer_train.detection.evaluate import FOUND, Boxes, Photograph, dlib, facemask, pairwise, score, wider

FAINT = 0.02
FALSE_BOXES = (84, 122, 400)  # the recall at so many boxes that touch no label is told
CELL_PX, A_ROW = 80, 16  # of the sheet
Floats = npt.NDArray[np.float64]
EDGES = {
    "height, px": (20, 24, 28, 34, 42, 60, 100, 10_000),
    "sharpness": (0, 20, 40, 60, 1000),
    "roll, degrees": (0, 5, 10, 180),
    "turn": (0, 0.1, 0.2, 0.35, 9),
}


def described(photograph: Photograph, yunet: cv2.FaceDetectorYN) -> list[list[float]]:
    """EDGES' values of each wanted face; turn: nose off the eyes' middle, in eye distances; NaN if YuNet sees none."""
    image = photograph.read()
    gray = to_gray(image)
    yunet.setInputSize((image.shape[1], image.shape[0]))
    seen = yunet.detect(image)[1]
    seen = np.empty((0, 15), np.float32) if seen is None else seen
    boxes = np.concatenate([seen[:, :2], seen[:, :2] + seen[:, 2:4]], axis=1)
    overlap = pairwise(photograph.wanted, boxes)
    rows = []
    for face, overlaps in zip(photograph.wanted, overlap, strict=True):
        left, top, right, bottom = (max(0, int(value)) for value in face)
        cut = cv2.resize(gray[top:bottom, left:right], (32, 32))
        roll = turn = float("nan")
        if overlaps.max(initial=0) >= FOUND:
            eye, other, nose = seen[overlaps.argmax(), 4:10].reshape(3, 2)
            apart = other - eye
            roll = float(abs(np.degrees(np.arctan2(apart[1], apart[0]))))
            turn = float(abs((nose - (eye + other) / 2) @ apart) / max(float(apart @ apart), 1.0))
        rows.append([face[3] - face[1], float(np.asarray(cv2.Laplacian(cut, cv2.CV_32F)).std()), roll, turn])
    return rows


def table(values: Floats, found: npt.NDArray[np.bool_]) -> Table:
    """Recall by each of EDGES' ranges; values: [faces, 4]."""
    rows = []
    for column, (name, edges) in enumerate(EDGES.items()):
        for low, high in neighbors(edges):
            chosen = (values[:, column] >= low) & (values[:, column] < high)
            if chosen.any():
                last = "and more" if high == edges[-1] else f"to {high}"
                rows.append([name, f"{low} {last}", str(chosen.sum()), percent(float(found[chosen].mean()))])
    return Table("found, at the detector's own threshold", ["", "range", "faces", "recall"], rows, "")


def sheet(cells: Sequence[Image]) -> Image:
    """The faces side by side, uint8 [H, W]."""
    blank = np.zeros((CELL_PX, CELL_PX), np.uint8)
    filled = [*cells, *[blank] * (-len(cells) % A_ROW)]
    return np.vstack([np.hstack(filled[start : start + A_ROW]) for start in range(0, len(filled), A_ROW)])


def around(gray: Image, face: Boxes) -> Image:
    """The face with half its height around it, uint8 [CELL_PX, CELL_PX]."""
    left, top, right, bottom = (int(value) for value in face)
    margin = (bottom - top) // 2 + 1
    wide = cv2.copyMakeBorder(gray, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    cut = wide[max(0, top) : bottom + 2 * margin, max(0, left) : right + 2 * margin]
    return np.asarray(cv2.resize(cut, (CELL_PX, CELL_PX)), dtype=np.uint8)


@click.command(help=__doc__)
@click.option("--media", type=click.Path(path_type=Path), required=True, metavar="DIR", help="As of detector.py.")
@click.option("--yunet", type=click.Path(path_type=Path), required=True, metavar="FILE", help="YuNet's ONNX file.")
@click.option(
    "--luma", type=click.Path(path_type=Path), metavar="FILE", help="Our detector.  [default: the shipped one]"
)
@click.option(
    "--enlarge", type=click.FloatRange(0.25, 4), default=1.0, metavar="F", help="Search pictures so enlarged."
)
@click.option("--light", type=click.FloatRange(0, 1), default=1.0, metavar="S", help="Share of the light left.")
@click.option("--contrast", type=click.FloatRange(0, 1), default=1.0, metavar="S", help="Share of the contrast left.")
@click.option("--uncorrected", is_flag=True, help="Search dark and hazy pictures as they are.")
@click.option("--once", is_flag=True, help="Leave out the second look at small unsure faces.")
@click.option(
    "--sheet", "sheet_file", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the missed here."
)
def main(
    media: Path, yunet: Path, luma: Path | None, enlarge: float, light: float, contrast: float, uncorrected: bool,
    once: bool, sheet_file: Path | None,
) -> None:  # fmt: skip
    """Print the tables."""
    detector = LumaDetector(luma, 1, 10_000)
    terms = detector.terms
    if once:
        detector.terms = replace(terms, second_look=None)
    YunetDetector(yunet)  # says in one line what is wrong with the file
    landmarks = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), 0.3)

    def search(image: Image) -> tuple[Boxes, npt.NDArray[np.float32]]:
        gray = to_gray(image)
        for case, share in (("darkness", light), ("haze", contrast)):
            if share < 1:
                gray = spoilt(gray, SPOILT[case], share, 0.0)
        if enlarge != 1:
            gray = np.asarray(cv2.resize(gray, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
        boxes, scores = detector.search(gray, FAINT)
        return boxes / np.float32(enlarge), scores

    photographs = facemask(media / "detection" / "facemask853")
    more = dlib(media / "detection", media / "stills") + wider(media / "detection" / "wider_val10")
    left_alone = mock.patch("fer_edge.detectors.luma.lighting_table", lambda _picture: None)
    with left_alone if uncorrected else nullcontext():
        scores, others = score(search, photographs), score(search, more)
    found = np.asarray(scores.found) >= terms.score_threshold
    asked = [photograph for photograph in photographs if len(photograph.wanted)]
    values = np.array([row for photograph in asked for row in described(photograph, landmarks)], np.float64)
    click.echo(str(table(values, found)))
    own = terms.score_threshold
    click.echo(
        f"at its own threshold ({own:g}): {percent(scores.recall(own))} with {scores.false_boxes(own)} boxes that "
        f"touch no label; dlib and wider_val10 {percent(others.recall(own))} with {others.false_boxes(own)}"
    )
    bounds = np.sort(np.asarray(scores.false))[::-1]
    for count in FALSE_BOXES:
        if count > len(bounds):
            break
        at = float(bounds[count - 1])
        click.echo(
            f"at {count} boxes that touch no label (threshold {at:.2f}): {percent(scores.recall(at))}; "
            f"dlib and wider_val10 {percent(others.recall(at))} with {others.false_boxes(at)}"
        )
    if sheet_file is not None:
        faces = [(to_gray(photograph.read()), face) for photograph in asked for face in photograph.wanted]
        missed = [around(gray, face) for (gray, face), seen in zip(faces, found, strict=True) if not seen]
        cv2.imwrite(str(sheet_file), sheet(missed))


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.detector.misses")
