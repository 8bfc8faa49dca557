"""What do networks call the faces of real clips? A contact sheet per clip, to be judged by eye.

A sheet shows faces of evenly spaced frames. Below each face stands what every network calls it, as fer-edge shows it:
tracked and smoothed, "?" where it is unsure. A table counts the labels of all frames.

    python -m benchmarks.accuracy.sheets clips/*.mp4 --model old.onnx --model new.onnx --out sheets/
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.accuracy.steadiness import DETECT_SIZE_PX, MIN_FACE_PX, CachedDetector
from benchmarks.harness.heads import EMOTIONS, Head, open_head
from benchmarks.harness.options import FILE, results_command
from benchmarks.harness.results import Results
from benchmarks.harness.streams import run_pipeline
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import pin_threads
from fer_edge.console import run_main
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.files import atomic_write
from fer_edge.framing import Image, Square, crop
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.results import Face, FrameResult
from fer_train.data.classes import canonical

TILE_PX, LINE_PX, COLUMNS = 112, 14, 8
WEBP_QUALITY = 80
AROUND = 1.5  # side of the square shown, in heights of the face
INK, FAINT = (20, 20, 20), (130, 130, 130)


@dataclass(frozen=True)
class Tile:
    """A face as displayed, uint8 BGR [TILE_PX, TILE_PX, 3], and what each network calls it."""

    image: Image
    captions: tuple[str, ...]


def caption(face: Face) -> str:
    """The label and its percentage; a question mark if the network is unsure."""
    return f"{'?' if face.unsure else ''}{face.emotion} {100 * face.confidence:.0f} %"


def run(clip: Path, detector: FramedDetector, head: Head) -> list[FrameResult]:
    """The results of every frame of a clip, as fer-edge gives them by default."""
    results: list[FrameResult] = []
    run_pipeline(clip, detector, head.classifier, sink=lambda _frame, result: results.append(result))
    return results


def spaced(results: Sequence[FrameResult], count: int) -> set[int]:
    """The numbers of at most `count` frames, evenly spaced among those with a face."""
    seen = [result.frame for result in results if result.faces]
    chosen = np.linspace(0, len(seen) - 1, min(count, len(seen))).round().astype(int)
    return {seen[index] for index in chosen}


def tiles(clip: Path, detector: FramedDetector, heads: Sequence[Head], runs: Sequence[Sequence[FrameResult]],
          count: int) -> list[Tile]:  # fmt: skip
    """The faces of `count` evenly spaced frames."""
    chosen = spaced(runs[0], count)
    called = [{result.frame: result.faces for result in results if result.frame in chosen} for results in runs]
    found: list[Tile] = []

    def keep(frame: Frame, result: FrameResult) -> None:
        if frame.index not in chosen:
            return
        image = frame.image if frame.image.ndim == 3 else cv2.cvtColor(frame.image, cv2.COLOR_GRAY2BGR)
        for number, face in enumerate(result.faces):
            x, y, width, height = face.box
            square = Square(x + width / 2, y + height / 2, AROUND * max(width, height))
            shown = np.stack(
                [crop(np.ascontiguousarray(image[..., of]), square, (TILE_PX, TILE_PX)) for of in range(3)], axis=2
            )
            names = tuple(caption(faces[frame.index][number]) for faces in called)
            found.append(Tile(shown, names))

    run_pipeline(clip, detector, heads[-1].classifier, sink=keep)
    return found


def sheet(faces: Sequence[Tile], titles: Sequence[str]) -> Image:
    """Tiles in rows of COLUMNS, the titles of the networks above: uint8 BGR [H, W, 3]."""
    lines = len(titles)
    top, high = LINE_PX * lines + 6, TILE_PX + LINE_PX * lines + 6
    rows = max(1, -(-len(faces) // COLUMNS))
    image = np.full((top + rows * high, COLUMNS * (TILE_PX + 4), 3), 255, np.uint8)

    def write(text: str, x: int, y: int, number: int) -> None:
        ink = INK if number == lines - 1 else FAINT
        cv2.putText(image, text, (x + 2, y + LINE_PX - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.38, ink, 1, cv2.LINE_AA)

    for number, title in enumerate(titles):
        write(f"line {number + 1}: {title}", 0, LINE_PX * number, number)
    for index, tile in enumerate(faces):
        x, y = index % COLUMNS * (TILE_PX + 4), top + index // COLUMNS * high
        image[y : y + TILE_PX, x : x + TILE_PX] = tile.image
        for number, text in enumerate(tile.captions):
            write(text, x, y + TILE_PX + LINE_PX * number, number)
    return image


def counts_table(counts: dict[tuple[str, str], Counter[str]]) -> Table:
    """The share of each label among the faces of all frames; unsure ones count as unsure."""
    columns = [*EMOTIONS, "unsure"]
    rows = [
        [f"{clip}, {title}", str(seen.total()), *(percent(seen[name] / max(1, seen.total())) for name in columns)]
        for (clip, title), seen in counts.items()
    ]
    return Table("What the faces of all frames are called", ["clip, network", "faces", *columns], rows)


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", "models", multiple=True, type=FILE, metavar="FILE",
              help="Emotion network.  Repeatable.  [default: the shipped int8 one]")  # fmt: skip
@click.option("--head", metavar="NAME", help="Head of the last network.  [default: its first]")
@click.option("--out", type=FILE, required=True, metavar="DIR", help="Folder for CLIP.png.")
@click.option("--webp", is_flag=True, help="Write CLIP.webp instead, a tenth of the size.")
@click.option("--frames", type=click.IntRange(1), default=24, show_default=True, help="Frames of each clip.")
@click.option(
    "--min-face", type=click.IntRange(1), default=MIN_FACE_PX, show_default=True, help="Smallest face, pixels."
)
@results_command()
def main(
    clips: tuple[Path, ...], models: tuple[Path, ...], head: str | None, out: Path, webp: bool, frames: int,
    min_face: int,
) -> Results:  # fmt: skip
    """Run every clip with every network, draw the sheets, count the labels."""
    results = Results("sheets", "What do networks call the faces of real clips?", pin_threads(1))
    files = models or (None,)
    heads = [open_head(file, head if number == len(files) - 1 else None) for number, file in enumerate(files)]
    titles = [f"network {number + 1} ({one.title})" for number, one in enumerate(heads)]
    opened = open_detector("luma", None, min_face, DETECT_SIZE_PX)
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for clip in clips:
        detector = CachedDetector(opened)
        runs = [run(clip, detector, one) for one in heads]
        for title, ran in zip(titles, runs, strict=True):
            faces = [face for result in ran for face in result.faces]
            counts[clip.name, title] = Counter("unsure" if f.unsure else canonical(f.emotion) for f in faces)
        written = out / f"{clip.stem}{'.webp' if webp else '.png'}"
        image = sheet(tiles(clip, detector, heads, runs, frames), titles)
        settings = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY] if webp else []
        with atomic_write(written) as part:
            part.write_bytes(cv2.imencode(written.suffix, image, settings)[1].tobytes())
        click.echo(f"wrote {written}", err=True)
    results.tables = [counts_table(counts)]
    results.values = {f"{clip}, {title}": dict(seen) for (clip, title), seen in counts.items()}
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.sheets")
