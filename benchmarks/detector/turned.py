"""How far may a head turn, or bend, before a detector loses it?

Heads of photographs are shown turned and bent as solids (fer_train.detection.synthesis.solid), made as small as `--face` says.
A head is found if a box of the detector's own threshold lies where the face is, at about its size. The heads are made,
not photographed, and luma has learned from these photographs, and from heads turned more or less like this; which real
profiles are found says benchmarks/misses.py (`turn`). Grey photographs also suit yunet less than those in colour.

    python benchmarks/turned.py --faces ../shared/data/faces --yunet face_detection_yunet_2023mar.onnx --plot turned.png
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.presenting import COLORS, Table, new_figure, percent, save_plot
from fer_edge.console import run_main
from fer_edge.detectors import Detection, Detector, open_detector
from fer_edge.files import write_json
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.system import machine_info
from fer_train.detection.synthesis.altered_heads import head_of
from fer_train.detection.synthesis.solid import Head, Look, Pose, face_at, posed
from fer_train.detection.synthesis.tiles import FaceTiles, load_tiles

YAWS, PITCHES = (0, 15, 30, 45, 60, 75, 90, 105), (-30, -15, 0, 15, 30, 45, 60)  # degrees
NEAR, LIKE = 0.55, 1.7  # a box's middle lies so near, in sides of the face's box; it is at most so much larger, smaller


def found(detections: Sequence[Detection], middle: tuple[float, float], width: float, height: float) -> bool:
    """Whether one of the boxes lies about `middle` and is about so large, all in pixels."""
    for x, y, wide, high in (detection.box for detection in detections):
        off = np.hypot((x + wide / 2 - middle[0]) / width, (y + high / 2 - middle[1]) / height)
        if off < NEAR and 1 / LIKE < high / height < LIKE:
            return True
    return False


def seen(detector: Detector, picture: Image, head: Head, pose: Pose, box: Any, face_px: int) -> bool:
    """Whether the turned head of `picture`, uint8 [H, W], is found with a face `face_px` high before it turned."""
    scale = face_px / box[3]
    small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    image = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8) if detector.needs_color else small
    x, y = face_at(head, pose)
    return found(detector.detect(image), (x * scale, y * scale), box[2] * scale, box[3] * scale)


def measure(detectors: Sequence[Detector], tiles: FaceTiles, face_px: int) -> dict[str, dict[str, dict[int, float]]]:
    """Share of the heads that each detector finds, by "yaw" and "pitch" in degrees."""
    poses = {("yaw", yaw): (yaw, 0) for yaw in YAWS} | {("pitch", pitch): (0, pitch) for pitch in PITCHES}
    hits: dict[str, dict[tuple[str, int], list[bool]]] = {one.name: {key: [] for key in poses} for one in detectors}
    rng = np.random.default_rng(0)
    with click.progressbar(range(len(tiles)), label="heads", file=sys.stderr) as places:
        for place in places:
            box = tiles.boxes[place][np.argmax(tiles.boxes[place][:, 4]), :4]
            head, side = head_of(box), 1 if place % 2 else -1
            for key, (yaw, pitch) in poses.items():
                pose = Pose(*np.radians((side * yaw, pitch, 0)).tolist())
                picture = posed(tiles.images[place], head, pose, Look(), rng)
                for one in detectors:
                    hits[one.name][key].append(seen(one, picture, head, pose, box, face_px))
    return {
        name: {way: {key[1]: float(np.mean(by[key])) for key in by if key[0] == way} for way in ("yaw", "pitch")}
        for name, by in hits.items()
    }


def table(results: dict[str, dict[str, dict[int, float]]], title: str) -> Table:
    """A row a detector and way, a column an angle."""
    angles = sorted({*YAWS, *PITCHES})
    rows = [
        [f"{name}, {way}", *(percent(shares.get(angle)) for angle in angles)]
        for name, by in results.items()
        for way, shares in by.items()
    ]
    return Table(title, ["degrees", *map(str, angles)], rows, "yaw: to either side; pitch: downwards")


def plot(results: dict[str, dict[str, dict[int, float]]], face_px: int) -> Any:
    """Share found over the angle, a panel for yaw and one for pitch."""
    figure = new_figure(10, 4)
    for axis, way, label in zip(figure.subplots(1, 2), ("yaw", "pitch"), ("turned by", "bent down by"), strict=True):
        for color, (name, by) in zip(COLORS, results.items(), strict=False):
            axis.plot(list(by[way]), list(by[way].values()), "o-", color=color, label=name)
        axis.set(xlabel=f"{label}, degrees", ylabel="found", ylim=(0, 1.02), title=f"faces of {face_px} px")
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


@click.command(help=__doc__)
@click.option(
    "--faces", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Photographs, as fer-train scenes."
)
@click.option(
    "--yunet", type=click.Path(path_type=Path), metavar="FILE", help="YuNet's ONNX file; without it yunet is left out."
)
@click.option(
    "--luma", type=click.Path(path_type=Path), metavar="FILE", help="Our detector.  [default: the shipped one]"
)
@click.option("--face", "face_px", type=click.IntRange(16, 64), default=32, show_default=True, metavar="PX")
@click.option("--every", type=click.IntRange(1), default=40, show_default=True, help="Every Nth photograph.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures, too.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw them here.")
def main(
    faces: Path, yunet: Path | None, luma: Path | None, face_px: int, every: int, json_file: Path | None,
    plot_file: Path | None,
) -> None:  # fmt: skip
    """Print the table."""
    tiles = load_tiles(faces)
    frontal = np.flatnonzero(tiles.rngs <= 1.5 * tiles.rngs.min())[::every]
    chosen = [place for place in frontal.tolist() if len(tiles.boxes[place])]
    some = FaceTiles(tiles.images[chosen], tuple(tiles.boxes[place] for place in chosen), tiles.rngs[chosen])
    detectors = [open_detector("luma", luma, face_px // 2)]
    if yunet is not None:
        detectors.append(open_detector("yunet", yunet, face_px // 2))
    if hasattr(cv2, "CascadeClassifier"):
        detectors.append(open_detector("haar", None, face_px // 2))
    results = measure(detectors, some, face_px)
    click.echo(str(table(results, f"heads found of {len(some)}, faces of {face_px} px before they turn")))
    if json_file is not None:
        write_json(json_file, {"face_px": face_px, "heads": len(some), "found": results, "machine": machine_info()})
    if plot_file is not None:
        save_plot(plot(results, face_px), plot_file)


if __name__ == "__main__":
    run_main(main, "turned.py")
