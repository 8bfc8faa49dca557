from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_train.detection.synthesis.tiles import FaceTiles, how_turned, load_tiles, mix_tiles, uniform_tiles


def test_tiles_are_read_in_order_with_their_boxes(tiles: FaceTiles, first_tile: tuple[np.ndarray, list[float]]) -> None:
    assert tiles.images.shape == (39, 128, 128)  # up to the last that boxes.csv names
    assert [len(boxes) for boxes in tiles.boxes[:4]] == [1, 1, 1, 0]
    expected, box = first_tile
    assert np.abs(tiles.images[0].astype(int) - expected).mean() < 4  # JPEG
    assert tiles.boxes[0][0, :4] == pytest.approx(box, abs=0.01)
    assert tiles.weights.sum() == pytest.approx(1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, tile_folder: Path) -> None:
    table = (tile_folder / "boxes.csv").read_text()
    with pytest.raises(DataError, match=r"no boxes\.csv"):
        load_tiles(tmp_path)
    (tmp_path / "boxes.csv").write_text("tile,x\n0,1\n")
    with pytest.raises(DataError, match="lacks the column y"):
        load_tiles(tmp_path)
    (tmp_path / "boxes.csv").write_text(table.splitlines()[0] + "\n")
    with pytest.raises(DataError, match="holds no rows"):
        load_tiles(tmp_path)
    (tmp_path / "boxes.csv").write_text(table)
    with pytest.raises(DataError, match=r"tiles_00\.jpg is missing"):
        load_tiles(tmp_path)
    cv2.imwrite(str(tmp_path / "tiles_00.jpg"), np.zeros((100, 100), np.uint8))
    with pytest.raises(DataError, match="100x100"):
        load_tiles(tmp_path)


def test_boxes_must_be_sorted_by_tile(tmp_path: Path, tile_folder: Path) -> None:
    header, *rows = (tile_folder / "boxes.csv").read_text().splitlines()
    (tmp_path / "boxes.csv").write_text("\n".join([header, *rows[::-1]]))
    (tmp_path / "tiles_00.jpg").write_bytes((tile_folder / "tiles_00.jpg").read_bytes())
    with pytest.raises(DataError, match="sorted by tile"):
        load_tiles(tmp_path)


def test_turned_and_lowered_heads_weigh_more_than_frontal_ones() -> None:
    frontal = {"right_x": 40, "right_y": 50, "left_x": 60, "left_y": 50, "nose_x": 50, "nose_y": 61.6,
               "mouth_right_y": 70, "mouth_left_y": 70}  # fmt: skip
    scores = [
        float(how_turned(*(np.float64(value) for value in (frontal | other).values())))
        for other in ({}, {"nose_x": 56}, {"nose_x": 66}, {"nose_y": 68})
    ]
    assert scores[0] == 0.25
    assert scores[0] < scores[1] < scores[2] <= 4
    assert scores[3] > scores[0]


def test_mixed_tiles_share_the_weight_and_empty_parts_take_none(tiles: FaceTiles) -> None:
    two = uniform_tiles(tiles.images[:2], tiles.boxes[:2])
    mixed = mix_tiles(tiles, [two, uniform_tiles([])], [0.3, 0.2])
    assert np.array_equal(mixed.images, np.concatenate([tiles.images, tiles.images[:2]]))
    assert len(mixed.boxes) == len(mixed) == len(tiles) + 2
    assert mixed.weights[-2:] == pytest.approx([0.15, 0.15])
    assert mixed.weights.sum() == pytest.approx(1)
