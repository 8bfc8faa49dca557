"""Read the photos that scenes are made of: face tiles with their boxes, and FER2013's faces."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_train.data import TRAINING, load_faces

TILE_PX = 128
TILES_PER_ROW, TILES_PER_SHEET = 40, 1600
LANDMARKS = tuple(
    "right_eye_x right_eye_y left_eye_x left_eye_y nose_x nose_y mouth_right_y mouth_left_y".split()  # noqa: SIM905
)
COLUMNS = ("tile", "x", "y", "w", "h", "score", *LANDMARKS)
Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FaceTiles:
    """Photos with the faces that a detector found in them.

    images: uint8 [N, 128, 128], gray. boxes: per image float32 [faces, 5]: x, y, width, height in pixels of the tile,
    and the detector's score. weights: float64 [N], the share of draws that show each tile; they sum to 1.
    """

    images: Pixels
    boxes: tuple[Boxes, ...]
    weights: Floats

    def __len__(self) -> int:
        return len(self.images)

    def part(self, rows: slice) -> "FaceTiles":
        """The tiles of `rows`, with their weights as they are."""
        return FaceTiles(self.images[rows], self.boxes[rows], self.weights[rows])


def uniform_tiles(images: Sequence[Pixels] | Pixels, boxes: Sequence[Boxes] | None = None) -> FaceTiles:
    """Tiles of equal weight from images uint8 [128, 128]; without `boxes` they are background."""
    pixels = np.asarray(images, np.uint8).reshape(-1, TILE_PX, TILE_PX)
    faces = (np.empty((0, 5), np.float32),) * len(pixels) if boxes is None else tuple(boxes)
    return FaceTiles(pixels, faces, np.full(len(pixels), 1 / max(1, len(pixels))))


def mix_tiles(tiles: FaceTiles, parts: Sequence[FaceTiles], shares: Sequence[float]) -> FaceTiles:
    """`tiles` followed by `parts`, each with its share of the weight; an empty part leaves its share to `tiles`."""
    kept = 1 - sum(share for part, share in zip(parts, shares, strict=True) if len(part))
    weights = [tiles.weights * kept, *(part.weights * share for part, share in zip(parts, shares, strict=True))]
    images = np.concatenate([tiles.images, *(part.images for part in parts)])
    return FaceTiles(images, sum((part.boxes for part in parts), tiles.boxes), np.concatenate(weights))


def load_tiles(folder: Path) -> FaceTiles:
    """The tiles of `folder`: sheets tiles_00.jpg, ... of 40 x 40 tiles, row by row, and boxes.csv, a row per face.

    Tiles of turned and lowered heads, which are rare, weigh more. Raises DataError if a file is missing, unreadable or
    malformed.
    """
    table_file = folder / "boxes.csv"
    if not table_file.is_file():
        raise DataError(f"{folder} has no boxes.csv: --faces names the folder of tiles_NN.jpg and boxes.csv")
    table = _read_table(table_file)
    count = int(table["tile"].max()) + 1
    sheets = [_read_sheet(folder / f"tiles_{index:02}.jpg") for index in range(-(-count // TILES_PER_SHEET))]
    images = np.concatenate(sheets)
    if len(images) < count:
        raise DataError(f"{table_file} names tile {count - 1}, but {folder} holds {len(images)}: a sheet is short")
    tile = table["tile"].astype(int)
    if (np.diff(tile) < 0).any():
        raise DataError(f"{table_file} must be sorted by tile")
    rows = np.stack([table[name] for name in ("x", "y", "w", "h", "score")], axis=1).astype(np.float32)
    turned = np.full(count, 0.25)
    np.maximum.at(turned, tile, how_turned(*(table[name] for name in LANDMARKS)))
    boxes = tuple(np.split(rows, np.searchsorted(tile, np.arange(1, count))))
    return FaceTiles(images[:count], boxes, turned / turned.sum())


def _read_table(file: Path) -> dict[str, Floats]:
    """COLUMNS of a CSV by name, float64 [rows] each; DataError if one is missing, is not numeric, or has no rows."""
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            records = list(csv.DictReader(lines))
        columns = {name: np.array([record[name] for record in records], dtype=np.float64) for name in COLUMNS}
    except KeyError as error:
        raise DataError(f"{file} lacks the column {error.args[0]}: it needs {', '.join(COLUMNS)}") from error
    except (ValueError, TypeError, csv.Error, OSError) as error:
        raise DataError(f"{file} can't be read ({error}): it needs the columns {', '.join(COLUMNS)}") from error
    if not records:
        raise DataError(f"{file} holds no rows: it needs the columns {', '.join(COLUMNS)}")
    return columns


def how_turned(
    right_x: Floats, right_y: Floats, left_x: Floats, left_y: Floats, nose_x: Floats, nose_y: Floats,
    mouth_right_y: Floats, mouth_left_y: Floats,
) -> Floats:  # fmt: skip
    """How far each head is turned or lowered from frontal, 0.25 to 4: by its nose's place between eyes and mouth."""
    eyes_x, eyes_y = (right_x + left_x) / 2, (right_y + left_y) / 2
    eye_distance = np.abs(left_x - right_x) + 1
    height = np.maximum((mouth_right_y + mouth_left_y) / 2 - eyes_y, 1)
    sideways = np.abs(nose_x - eyes_x) / eye_distance  # 0 frontal, above 0.5 in profile
    lowered = np.abs((nose_y - eyes_y) / height - 0.58)  # 0.58 is the median of LFW
    return np.asarray(np.clip(12 * (sideways**2 + 2 * lowered**2), 0.25, 4))


def _read_sheet(file: Path) -> Pixels:
    """The tiles of one file, uint8 [tiles, 128, 128]."""
    data = np.frombuffer(file.read_bytes() if file.is_file() else b"", dtype=np.uint8)
    sheet = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if sheet is None:
        raise DataError(f"{file} is missing or not an image: --faces names the folder of tiles_NN.jpg and boxes.csv")
    height, width = sheet.shape
    if width != TILES_PER_ROW * TILE_PX or height % TILE_PX:
        raise DataError(f"{file} is {width}x{height} pixels: it must hold rows of 40 tiles of 128x128")
    rows = sheet.reshape(height // TILE_PX, TILE_PX, TILES_PER_ROW, TILE_PX).swapaxes(1, 2)
    return np.asarray(rows.reshape(-1, TILE_PX, TILE_PX), dtype=np.uint8)


def load_fer_faces(file: Path) -> Pixels:
    """FER2013's Training faces, uint8 [N, 48, 48]: tight, close faces with expressions."""
    return load_faces(file).split(TRAINING).images
