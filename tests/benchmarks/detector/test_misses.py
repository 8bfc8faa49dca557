"""Recall by kind of face, and the sheet of missed faces."""

import numpy as np

from benchmarks.detector import misses
from benchmarks.detector.drawings import sheet


def test_recall_is_listed_by_kind_of_face() -> None:
    nan = float("nan")
    values = np.array([[20, 10, 1, 0.05], [22, 30, 7, 0.4], [300, 30, nan, nan]])
    rows = misses.table(values, np.array([True, False, True])).rows
    assert rows[0] == ["height, px", "20 to 24", "2", "50.00 %"]
    assert rows[1] == ["height, px", "100 and more", "1", "100.00 %"]
    assert rows[-1] == ["turn", "0.35 and more", "1", "0.00 %"]
    assert [row[2] for row in rows if row[0] == "roll, degrees"] == ["1", "1"]  # YuNet did not find the third


def test_the_sheet_holds_all_missed_faces() -> None:
    gray = np.full((60, 60), 200, np.uint8)
    cells = [misses.with_surroundings(gray, np.array([20, 20, 40, 40], np.float32)) for _ in range(17)]
    drawn = sheet(cells, misses.COLUMNS)
    assert drawn.shape == (2 * misses.CELL_PX, misses.COLUMNS * misses.CELL_PX)
    assert (drawn == 200).sum() == 17 * misses.CELL_PX**2
