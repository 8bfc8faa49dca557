"""Read the photographs that scenes are made of: face tiles with their boxes, and FER2013's faces."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_train.data import TRAINING, load_faces

TILE_PX = 128
TILES_A_ROW, TILES_A_FILE = 40, 1600
LANDMARKS = (
    "right_eye_x",
    "right_eye_y",
    "left_eye_x",
    "left_eye_y",
    "nose_x",
    "nose_y",
    "mouth_right_y",
    "mouth_left_y",
)
COLUMNS = ("tile", "x", "y", "w", "h", "score", *LANDMARKS)
Pixels = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FaceTiles:
    """Photographs with the faces that a detector saw in them.

    images: uint8 [N, 128, 128] grey. boxes: for each image float32 [faces, 5]: x, y, width, height in
    pixels of the tile, and the detector's score. weights: float64 [N], the share of draws that show each, 1 in all;
    tiles of turned and lowered heads, which are rare, more often.
    """

    images: Pixels
    boxes: tuple[Boxes, ...]
    weights: Floats

    def __len__(self) -> int:
        return len(self.images)


def load_tiles(folder: Path) -> FaceTiles:
    """The tiles of `folder`: tiles_00.jpg, … (40 x 40 tiles each, row by row) and boxes.csv with a row a face.

    Raises DataError if a file is missing, unreadable or has another form.
    """
    table_file = folder / "boxes.csv"
    if not table_file.is_file():
        raise DataError(f"{folder} has no boxes.csv: --faces names the folder of tiles_NN.jpg and boxes.csv")
    table = _read_table(table_file)
    count = int(table["tile"].max()) + 1
    sheets = [_sheet(folder / f"tiles_{index:02}.jpg") for index in range(-(-count // TILES_A_FILE))]
    images = np.concatenate(sheets)
    if len(images) < count:
        raise DataError(f"{table_file} names tile {count - 1}, and {folder} holds {len(images)}: a tiles file is short")
    rows = np.stack([table[name] for name in ("x", "y", "w", "h", "score")], axis=1).astype(np.float32)
    order = table["tile"].astype(int)
    turned = np.full(count, 0.25)
    np.maximum.at(turned, order, how_turned(*(table[name] for name in LANDMARKS)))
    starts = np.searchsorted(order, np.arange(count + 1)) if (np.diff(order) >= 0).all() else None
    if starts is None:
        raise DataError(f"{table_file} must be sorted by tile")
    boxes = tuple(rows[starts[tile] : starts[tile + 1]] for tile in range(count))
    return FaceTiles(images[:count], boxes, turned / turned.sum())


def _read_table(file: Path) -> dict[str, Floats]:
    """COLUMNS of a CSV by name, float64 [rows] each; DataError if one is missing, holds no number, or has no row."""
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
    """How far each face is turned or lowered from frontal, 0.25 to 4: by where its nose is between eyes and mouth."""
    eyes_x, eyes_y = (right_x + left_x) / 2, (right_y + left_y) / 2
    apart = np.abs(left_x - right_x) + 1
    high = np.maximum((mouth_right_y + mouth_left_y) / 2 - eyes_y, 1)
    sideways = np.abs(nose_x - eyes_x) / apart  # 0 frontal, above 0.5 in profile
    upright = np.abs((nose_y - eyes_y) / high - 0.58)  # 0.58 is the median of the photographs
    return np.asarray(np.clip(12 * (sideways**2 + 2 * upright**2), 0.25, 4))


def _sheet(file: Path) -> Pixels:
    """The tiles of one file, uint8 [tiles, 128, 128]."""
    sheet = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) if file.is_file() else None
    if sheet is None:
        raise DataError(f"{file} is missing or no picture: --faces names the folder of tiles_NN.jpg and boxes.csv")
    height, width = sheet.shape
    if width != TILES_A_ROW * TILE_PX or height % TILE_PX:
        raise DataError(f"{file} is {width}x{height} pixels, and must be rows of 40 tiles of 128x128")
    rows = sheet.reshape(height // TILE_PX, TILE_PX, TILES_A_ROW, TILE_PX).swapaxes(1, 2)
    return np.asarray(rows.reshape(-1, TILE_PX, TILE_PX), dtype=np.uint8)


def load_fer_faces(file: Path) -> Pixels:
    """FER2013's Training faces, uint8 [N, 48, 48]: tight, close faces with expressions."""
    return load_faces(file).split(TRAINING).images
