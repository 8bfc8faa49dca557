"""How much of a face does YuNet see in grey? Its recall on photographs with annotated faces, colour, grey and tinted.

luma reads grey pictures and learns from YuNet's boxes, so this is what it can learn: YuNet on the colours, on grey, on
grey tinted as `fer-train scenes` tints it, both enlarged, and `fer-train scenes`'s teacher as a whole.

    python benchmarks/grey_teacher.py --media ../shared/media --yunet face_detection_yunet_2023mar.onnx
"""

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.harness.presenting import Table, percent
from fer_edge.console import run_main
from fer_edge.framing import Image, to_gray
from fer_edge.opencv import cv2
from fer_train.detection.evaluate import Boxes, dlib, facemask, score, wider
from fer_train.detection.synthesis.teacher import Teacher, tinted

FALSE_BOXES = (50, 122, 400)
FAINT = 0.02
LONGEST_PX = 2200  # a side of an enlarged picture, at most
Found = tuple[Boxes, npt.NDArray[np.float32]]


def as_it_is(image: Image) -> Image:
    """The colours."""
    return image


def gray(image: Image) -> Image:
    """Blue, green and red alike."""
    return np.asarray(cv2.cvtColor(to_gray(image), cv2.COLOR_GRAY2BGR), np.uint8)


def yunet_on(network: cv2.FaceDetectorYN, shown: Callable[[Image], Image], enlarge: float) -> Callable[[Image], Found]:
    """A search with YuNet in the picture so shown and enlarged."""

    def search(image: Image) -> Found:
        factor = min(enlarge, max(1.0, LONGEST_PX / max(image.shape)))
        seen = shown(image)
        if factor != 1:
            seen = np.asarray(cv2.resize(seen, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
        network.setInputSize((seen.shape[1], seen.shape[0]))
        faces = network.detect(seen)[1]
        rows = np.empty((0, 15), np.float32) if faces is None else np.asarray(faces, np.float32)
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        return np.asarray(boxes / factor, np.float32), rows[:, 14]

    return search


def teacher_on(teacher: Teacher) -> Callable[[Image], Found]:
    """A search with the whole teacher."""

    def search(image: Image) -> Found:
        faces = teacher.faces(to_gray(image))
        return np.concatenate([faces[:, :2], faces[:, :2] + faces[:, 2:4]], axis=1), faces[:, 4]

    return search


@click.command(help=__doc__)
@click.option("--media", type=click.Path(path_type=Path), required=True, metavar="DIR", help="As of detector.py.")
@click.option("--yunet", type=click.Path(path_type=Path), required=True, metavar="FILE", help="YuNet's ONNX file.")
def main(media: Path, yunet: Path) -> None:
    """Print the table."""
    teacher = Teacher(yunet)
    network = cv2.FaceDetectorYN.create(str(yunet), "", (320, 320), FAINT, 0.3, 5000)
    photographs = facemask(media / "detection" / "facemask853")
    others = dlib(media / "detection", media / "stills") + wider(media / "detection" / "wider_val10")
    searches = {
        f"{name}{f', enlarged {enlarge:g} times' if enlarge > 1 else ''}": yunet_on(network, shown, enlarge)
        for enlarge in (1.0, 1.5, 2.0)
        for name, shown in (("colour", as_it_is), ("grey", gray), ("tinted", lambda image: tinted(to_gray(image))))
    }
    rows = []
    shown = [*searches.items(), ("the teacher, of grey", teacher_on(teacher))]
    with click.progressbar(shown, label="Searching", item_show_func=lambda item: item and item[0]) as bar:
        for name, search in bar:
            scores = score(search, photographs)
            bounds = np.sort(np.asarray(scores.false))[::-1]
            at = [float(bounds[count - 1]) for count in FALSE_BOXES]
            beside = percent(score(search, others).recall(at[1]))
            rows.append([name, *(percent(scores.recall(bound)) for bound in at), beside])
    columns = ["", *(f"at {count}" for count in FALSE_BOXES), "dlib, wider"]
    title = "recall on facemask853 at so many boxes that touch no label, on the others at the threshold of 122"
    click.echo(str(Table(title, columns, rows)))


if __name__ == "__main__":
    run_main(main, "grey_teacher.py")
