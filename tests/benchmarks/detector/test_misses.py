import numpy as np

from benchmarks.detector import misses


def test_recall_is_told_by_kind_of_face() -> None:
    nan = float("nan")
    values = np.array([[20, 10, 1, 0.05], [22, 30, 7, 0.4], [300, 30, nan, nan]])
    rows = misses.table(values, np.array([True, False, True])).rows
    assert rows[0] == ["height, px", "20 to 24", "2", "50.00 %"]
    assert rows[1] == ["height, px", "100 and more", "1", "100.00 %"]
    assert rows[-1] == ["turn", "0.35 and more", "1", "0.00 %"]
    assert [row[2] for row in rows if row[0] == "roll, degrees"] == ["1", "1"]  # one that YuNet did not see


def test_the_sheet_holds_all_that_were_missed() -> None:
    gray = np.full((60, 60), 200, np.uint8)
    cells = [misses.around(gray, np.array([20, 20, 40, 40], np.float32)) for _ in range(17)]
    sheet = misses.sheet(cells)
    assert sheet.shape == (2 * misses.CELL_PX, misses.A_ROW * misses.CELL_PX)
    assert (sheet == 200).sum() == 17 * misses.CELL_PX**2
