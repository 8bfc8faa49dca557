"""Make the face tiles that `fer-train scenes --faces` reads from LFW's photos and YuNet.

LFW is the archive lfw-deepfunneled.tgz of Labeled Faces in the Wild, or its unpacked folder: one folder per person,
with color photos of 250x250 pixels. OUT gets sheets tiles_NN.jpg of gray 128x128 tiles, one per photo, by name, and
boxes.csv, a row per face with its box, its landmarks and YuNet's score. It takes about 5 minutes on one core.

    python train/recipes/lfw_tiles.py lfw-deepfunneled.tgz face_detection_yunet_2023mar.onnx runs/luma/faces
"""

import csv
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import click
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fer_edge.console import run_main
from fer_edge.errors import DataError, OutputError
from fer_edge.files import atomic_write, check_writable
from fer_edge.framing import to_gray
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.teacher import load_yunet
from fer_train.detection.synthesis.tiles import TILE_PX, TILES_PER_ROW, TILES_PER_SHEET

DETECTED_PX = 500  # photos are enlarged to this side, so that small faces in the background are found
MIN_SCORE = 0.5
JPEG_QUALITY = 88
POINTS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
HEADER = ("tile", "name", "x", "y", "w", "h", *(f"{point}_{axis}" for point in POINTS for axis in "xy"), "score")
Image = npt.NDArray[np.uint8]
Detect = Callable[[Image], npt.NDArray[np.float32]]
"""Takes BGR uint8 [DETECTED_PX, DETECTED_PX, 3]; gives rows [K, 15]: box, five points, score."""


def read_photos(source: Path) -> dict[str, bytes | Path]:
    """The JPEG files in an archive or below a folder, as bytes or paths, by name; DataError if there are none."""
    if not source.exists():
        raise DataError(f"{source} does not exist: name lfw-deepfunneled.tgz or its unpacked folder")
    photos: dict[str, bytes | Path] = {}
    if source.is_dir():
        photos |= {path.stem: path for path in source.rglob("*.jpg") if path.is_file()}
    else:
        try:
            with tarfile.open(source) as archive:
                for member in archive:
                    name, file = PurePosixPath(member.name), archive.extractfile(member)
                    if file is not None and name.suffix == ".jpg":
                        photos[name.stem] = file.read()
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise DataError(f"{source} can't be read as a tar archive ({error}): download it again") from error
    if not photos:
        raise DataError(f"{source} holds no .jpg files: name lfw-deepfunneled.tgz or its unpacked folder")
    return dict(sorted(photos.items()))


def decode_photo(name: str, content: bytes | Path) -> Image:
    """BGR uint8 [S, S, 3]; DataError if it is not a square image."""
    data = content if isinstance(content, bytes) else content.read_bytes()
    photo = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if photo is None or photo.shape[0] != photo.shape[1]:
        raise DataError(f"{name}.jpg is damaged or not square: LFW's photos have 250x250 pixels")
    return np.asarray(photo, np.uint8)


def detector(file: Path) -> Detect:
    """YuNet for images of DETECTED_PX."""
    network = load_yunet(file, MIN_SCORE)
    network.setInputSize((DETECTED_PX, DETECTED_PX))

    def detect(image: Image) -> npt.NDArray[np.float32]:
        rows = network.detect(image)[1]
        return np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)

    return detect


def tile_of(photo: Image, detect: Detect) -> tuple[Image, npt.NDArray[np.float32]]:
    """The gray tile uint8 [128, 128] of a photo, and rows [K, 15] of its faces in pixels of the tile, best first."""
    large = cv2.resize(photo, (DETECTED_PX, DETECTED_PX), interpolation=cv2.INTER_CUBIC)
    rows = detect(np.asarray(large, np.uint8)).copy()
    rows[:, :14] *= TILE_PX / DETECTED_PX
    tile = cv2.resize(to_gray(photo), (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(tile, np.uint8), rows[np.argsort(-rows[:, 14], kind="stable")]


def write_sheet(tiles: list[Image], path: Path) -> None:
    """Write tiles row by row; black ones fill the last row."""
    rows = -(-len(tiles) // TILES_PER_ROW)
    sheet = np.zeros((rows * TILES_PER_ROW, TILE_PX, TILE_PX), np.uint8)
    sheet[: len(tiles)] = tiles
    image = sheet.reshape(rows, TILES_PER_ROW, TILE_PX, TILE_PX).swapaxes(1, 2).reshape(rows * TILE_PX, -1)
    with atomic_write(path) as part:
        part.write_bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def rows_of(number: int, name: str, faces: npt.NDArray[np.float32]) -> Iterator[list[object]]:
    """The rows of boxes.csv for one tile."""
    for *values, score in faces.tolist():
        yield [number, name, *(f"{value:.2f}" for value in values), f"{score:.3f}"]


@click.command(help=__doc__)
@click.argument("lfw", type=click.Path(path_type=Path))
@click.argument("yunet", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace the tiles in OUT.")
def main(lfw: Path, yunet: Path, out: Path, overwrite: bool) -> None:
    """Detect, scale and write."""
    detect = detector(yunet)
    photos = read_photos(lfw)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be created: {error.strerror}") from error
    table = out / "boxes.csv"
    check_writable(table, overwrite)
    rows: list[list[object]] = []
    tiles: list[Image] = []
    for number, (name, content) in enumerate(tqdm(photos.items(), unit="photo", disable=None)):
        tile, faces = tile_of(decode_photo(name, content), detect)
        tiles.append(tile)
        rows += rows_of(number, name, faces)
        if len(tiles) == TILES_PER_SHEET or number == len(photos) - 1:
            write_sheet(tiles, out / f"tiles_{number // TILES_PER_SHEET:02}.jpg")
            tiles.clear()
    if not rows:
        raise DataError(f"YuNet finds no face in {lfw}: are these LFW's photos?")
    with atomic_write(table) as part, part.open("w", newline="", encoding="utf-8") as file:  # last: it completes OUT
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
    click.echo(f"{out}: {len(photos):,} tiles with {len(rows):,} faces", err=True)


if __name__ == "__main__":
    run_main(main, "lfw_tiles.py")
