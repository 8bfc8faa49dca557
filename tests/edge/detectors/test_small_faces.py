"""Group photos: many small faces, and what becomes of those that the settings leave out."""

import json
from pathlib import Path

import numpy as np
import pytest

from fer_edge.demo.scene import draw_scene, face_box_at
from fer_edge.detectors import DEFAULT_MIN_FACE_PX, open_detector
from fer_edge.framing import Box, Image, iou_matrix
from fer_edge.opencv import cv2


def group_photo(count: int, size: tuple[int, int], sides_px: tuple[float, float]) -> tuple[Image, list[Box]]:
    """`count` drawn faces in rows, BGR [H, W, 3] of `size` (width, height), and their boxes.

    sides_px: the smallest and the largest square, as FER2013 would frame the face.
    """
    width, height = size
    photo = np.full((height, width, 3), (150, 140, 130), np.uint8)
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = -(-count // columns)
    boxes: list[Box] = []
    for number, side in enumerate(np.linspace(*sides_px, count)):
        t = 0.37 * number
        x, y, w, h = face_box_at(t)
        around = 0.75 * h
        left, top = max(0, round(x + w / 2 - around)), max(0, round(y + h / 2 - around))
        head = draw_scene(t)[top : top + round(2 * around), left : left + round(2 * around)]
        scale = side / 0.95 / h
        small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        row, column = divmod(number, columns)
        at_x = round((column + 0.5) * width / columns - small.shape[1] / 2)
        at_y = round((row + 0.5) * height / rows - small.shape[0] / 2)
        photo[at_y : at_y + small.shape[0], at_x : at_x + small.shape[1]] = small
        boxes.append((at_x + (x - left) * scale, at_y + (y - top) * scale, w * scale, h * scale))
    return photo, boxes


@pytest.mark.parametrize("count", [52, 77])
@pytest.mark.parametrize("size", [(800, 600), (1280, 960), (1920, 1280)])
def test_all_faces_of_a_group_photo_are_found_by_default(count: int, size: tuple[int, int]) -> None:
    photo, truth = group_photo(count, size, (DEFAULT_MIN_FACE_PX + 1.5, 38))
    found = open_detector("luma").detect(photo)
    best = iou_matrix(truth, [one.box for one in found]).max(axis=1)
    assert (best > 0.35).mean() >= 0.97
    assert len(found) <= count


def test_a_classroom_on_video_is_found_by_default() -> None:
    photo, truth = group_photo(20, (640, 360), (24, 38))
    found = open_detector("luma").for_stream()(photo).faces
    assert (iou_matrix(truth, [one.box for one in found]).max(axis=1) > 0.35).all()


def test_faces_below_the_minimum_size_are_counted() -> None:
    photo, _ = group_photo(20, (640, 480), (24, 32))
    found = open_detector("luma", min_face_px=60).search(photo)
    assert found.faces == []
    assert len(found.left_out.small) >= 18
    assert 20 < min(found.left_out.small) < max(found.left_out.small) < 40
    assert len(found.left_out.boxes) == len(found.left_out.small)


def test_including_the_faces_that_were_left_out_includes_them() -> None:
    photo, _ = group_photo(20, (640, 480), (24, 32))
    left_out = open_detector("luma", min_face_px=60).search(photo).left_out
    lowest = int(min(left_out.small))
    assert len(open_detector("luma", min_face_px=lowest).detect(photo)) >= len(left_out.small)


@pytest.fixture
def photo_file(tmp_path: Path) -> Path:
    photo, _ = group_photo(12, (640, 480), (24, 32))
    cv2.imwrite(str(tmp_path / "class.png"), photo)
    return tmp_path / "class.png"


@pytest.mark.usefixtures("photo_file")
def test_the_command_says_which_option_includes_the_faces_of_an_image(fer_edge) -> None:
    ran = fer_edge("class.png", "--headless", "--min-face", "60")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "class.png: no face found\n"
    (line,) = [line for line in ran.stderr.splitlines() if "left out" in line]
    assert line.startswith("fer-edge: class.png: 12 faces of 2")
    option = line.partition("left out: ")[2].split()
    assert option[0] == "--min-face"
    assert option[2:] == ["includes", "them"]
    again = fer_edge("class.png", "--headless", *option[:2])
    assert again.stdout.startswith("class.png: 12 faces")
    assert "left out" not in again.stderr


def test_the_command_says_so_once_for_a_whole_video(fer_edge) -> None:
    ran = fer_edge("demo:320x240", "--headless", "--min-face", "300", "--max-frames", "20")
    assert ran.returncode == 0, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if "left out" in line]
    assert "up to 1 face per frame of " in line
    assert "px was left out: --min-face " in line


@pytest.mark.usefixtures("photo_file")
def test_faces_left_out_by_their_score_name_the_other_option(fer_edge) -> None:
    ran = fer_edge("class.png", "--headless", "--min-score", "0.999")
    (line,) = [line for line in ran.stderr.splitlines() if "left out" in line]
    assert "12 faces with scores of 0." in line
    assert "--min-score 0." in line


@pytest.mark.usefixtures("photo_file")
def test_no_line_where_most_faces_are_found(fer_edge) -> None:
    assert "left out" not in fer_edge("class.png", "--headless").stderr
    assert "left out" not in fer_edge("demo:320x240", "--headless", "--max-frames", "5").stderr


@pytest.mark.usefixtures("photo_file")
def test_the_report_says_the_settings_that_a_kind_of_source_gets(fer_edge, tmp_path: Path) -> None:
    for source, size in (("class.png", 1920), ("demo:320x240", 640)):
        ran = fer_edge(source, "--headless", "--max-frames", "2", "--report", "r.json", "--overwrite")
        assert ran.returncode == 0, ran.stderr
        settings = json.loads((tmp_path / "r.json").read_text())["settings"]
        assert (settings["min_face_px"], settings["detect_size_px"]) == (DEFAULT_MIN_FACE_PX, size)


@pytest.mark.parametrize("wrong", ["9", "0", "-1", "20.5", "many", ""])
def test_a_wrong_minimum_size_is_refused_in_one_line(fer_edge, wrong: str) -> None:
    ran = fer_edge("demo:320x240", "--headless", "--min-face", wrong)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "--min-face" in ran.stderr
