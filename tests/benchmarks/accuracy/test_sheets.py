"""Contact sheets of clips: which frames, what stands below a face, and what the command writes."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from benchmarks.accuracy.sheets import COLUMNS, LINE_PX, TILE_PX, Tile, caption, main, sheet, spaced
from benchmarks.harness.inputs import draw_clip
from fer_edge.opencv import cv2
from fer_edge.results import Face, FrameResult

FACE = Face((0, 0, 9, 9), 0.9, "happy", 0.806, {"happy": 0.806, "sad": 0.194})


def test_a_caption_tells_unsure_labels() -> None:
    assert caption(FACE) == "happy 81 %"
    assert caption(Face((0, 0, 9, 9), 0.9, "sad", 0.42, {"sad": 0.42}, unsure=True)) == "?sad 42 %"


def test_frames_are_spaced_over_those_with_a_face() -> None:
    results = [FrameResult(index, index / 30, True, (FACE,) if index >= 10 else ()) for index in range(21)]
    assert spaced(results, 3) == {10, 15, 20}
    assert spaced(results, 100) == set(range(10, 21))
    assert spaced(results[:10], 3) == set()


def test_a_sheet_shows_every_face_once() -> None:
    gray = [np.full((TILE_PX, TILE_PX, 3), level, np.uint8) for level in range(40, 40 + COLUMNS + 1)]
    image = sheet([Tile(one, ("a", "b")) for one in gray], ["old", "new"])
    for one in gray:
        assert (image == one[0, 0]).all(axis=2).sum() >= TILE_PX * TILE_PX
    assert image.shape[0] == 2 * LINE_PX + 6 + 2 * (TILE_PX + 2 * LINE_PX + 6)


def test_the_drawn_person_on_a_sheet(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path / "drawn.mkv", 90)
    done = CliRunner().invoke(main, [str(clip), "--out", str(tmp_path / "sheets"), "--frames", "3"])
    assert done.exit_code == 0, done.output
    image = cv2.imread(str(tmp_path / "sheets/drawn.png"))
    assert image.shape[1] == COLUMNS * (TILE_PX + 4)
    assert image.std() > 20
    (row,) = [line.split() for line in done.output.splitlines() if line.startswith("drawn.mkv")]
    assert int(row[row.index("people)") + 1]) >= 85
    assert "happy" in done.output
    done = CliRunner().invoke(main, [str(clip), "--out", str(tmp_path / "sheets"), "--frames", "3", "--webp"])
    assert done.exit_code == 0 and cv2.imread(str(tmp_path / "sheets/drawn.webp")).shape == image.shape
