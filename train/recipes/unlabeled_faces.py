"""Cut faces as FER2013 frames them out of face tiles, for `fer-train --unlabeled`.

FOLDER is what lfw_tiles.py made: sheets tiles_NN.jpg and boxes.csv with YuNet's boxes. A face's square is the one that
fer-edge uses for YuNet: 0.95 x the box's height, with the same center. Small faces, unsure ones, and squares that reach
far over the tile's edge are left out.

    python train/recipes/unlabeled_faces.py runs/luma/faces runs/faces.npz --preview runs/faces.png
"""

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from fer_edge.console import run_main
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.errors import DataError
from fer_edge.files import atomic_write, check_writable
from fer_edge.framing import Square, crop
from fer_edge.opencv import cv2
from fer_train.data import FACE_SIZE
from fer_train.data.npz_faces import save_npz_faces
from fer_train.detection.synthesis.tiles import TILE_PX, load_tiles


def share_inside(square: Square) -> float:
    """The share of a square that lies in its tile, 0 to 1."""
    low, high = (np.array([square.x, square.y]) + half * square.side for half in (-0.5, 0.5))
    sides = np.clip(np.minimum(high, TILE_PX) - np.maximum(low, 0), 0, None)
    return float(sides.prod() / square.side**2)


def preview(faces: npt.NDArray[np.uint8], path: Path) -> None:
    """Write a contact sheet of 12 x 24 faces, evenly picked."""
    picked = faces[np.linspace(0, len(faces) - 1, 288).astype(int)]
    sheet = picked.reshape(12, 24, FACE_SIZE, FACE_SIZE).swapaxes(1, 2).reshape(12 * FACE_SIZE, 24 * FACE_SIZE)
    with atomic_write(path) as part:
        cv2.imwrite(str(part), sheet)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--min-side", default=32.0, show_default=True, help="Smallest square, in tile pixels.")
@click.option("--min-score", default=0.7, show_default=True, help="Smallest score of a detection.")
@click.option("--min-inside", default=0.9, show_default=True, help="Smallest share of the square within its tile.")
@click.option("--every", default=1, show_default=True, help="Keep every Nth of these faces, for quick trials.")
@click.option("--preview", "sheet", type=click.Path(path_type=Path), help="Also write a contact sheet (.png).")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def main(
    folder: Path,
    out: Path,
    min_side: float,
    min_score: float,
    min_inside: float,
    every: int,
    sheet: Path | None,
    overwrite: bool,
) -> None:
    """Cut the faces, write them and report how many there are."""
    for path in filter(None, (out, sheet)):
        check_writable(path, overwrite)
    tiles, faces = load_tiles(folder), []
    for image, boxes in zip(tiles.images, tiles.boxes, strict=True):
        for x, y, width, height, score in boxes.tolist():
            square = YunetDetector.framing.square((x, y, width, height))
            if score >= min_score and square.side >= min_side and share_inside(square) >= min_inside:
                faces.append(crop(image, square, (FACE_SIZE, FACE_SIZE)))
    faces = faces[::every]
    if not faces:
        raise DataError(f"{folder} has no such face: lower --min-side, --min-score or --min-inside")
    save_npz_faces(np.stack(faces), out)
    if sheet is not None:
        preview(np.stack(faces), sheet)
    click.echo(f"{out}: {len(faces):,} of {sum(map(len, tiles.boxes)):,} faces", err=True)


if __name__ == "__main__":
    run_main(main, "unlabeled_faces.py")
