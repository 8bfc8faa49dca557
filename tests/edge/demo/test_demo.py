"""The drawn face repeats exactly, acts all expressions, and is found by the detectors."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.demo.head import paint_portrait
from fer_edge.demo.portrait import STORED_PX, still_portrait
from fer_edge.demo.scene import CYCLE_S, draw_scene, expression_at, face_box_at
from fer_edge.detectors.luma import LumaDetector
from fer_edge.framing import Box, Image, iou
from fer_edge.recognizer import EmotionRecognizer

SIZES = ((640, 480), (320, 240), (1280, 720), (480, 640))


def found_and_extra(detect: Callable[[Image], list[Box]], size: tuple[int, int], step: int = 6) -> tuple[float, int]:
    """The fraction of every `step`th frame of a cycle in which the face is found, and the number of boxes elsewhere."""
    times = [frame / 30 for frame in range(0, round(30 * CYCLE_S), step)]
    found = extra = 0
    for t in times:
        hits = [iou(box, face_box_at(t, size)) >= 0.35 for box in detect(draw_scene(t, size))]
        found += any(hits)
        extra += hits.count(False)
    return found / len(times), extra


def test_the_same_moment_gives_the_same_bytes() -> None:
    for t in (0.0, 2.81, 7.3):
        assert draw_scene(t).tobytes() == draw_scene(t).tobytes()


def test_changing_a_frame_does_not_change_the_next() -> None:
    before = draw_scene(1.0)
    draw_scene(1.0)[:] = 0
    assert np.array_equal(draw_scene(1.0), before)


def test_the_cycle_is_seamless() -> None:
    for t in (0.0, 1 / 3, 2.8, 4 + 1 / 30, 9.99):
        assert np.array_equal(draw_scene(t), draw_scene(t + CYCLE_S))
        assert np.array_equal(draw_scene(t), draw_scene(t + 360 * CYCLE_S))
        assert expression_at(t) == expression_at(t + CYCLE_S)
    step = np.abs(draw_scene(CYCLE_S - 1 / 30).astype(int) - draw_scene(0.0)).mean()
    usual = np.abs(draw_scene(1 / 30).astype(int) - draw_scene(0.0)).mean()
    assert step < 2 * usual


def test_all_seven_expressions_occur_in_a_cycle() -> None:
    acted = {expression_at(frame / 30) for frame in range(round(30 * CYCLE_S))}
    assert acted == {"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"}


@pytest.mark.parametrize("size", [*SIZES, (641, 479), (100, 80)])
def test_frames_have_the_requested_size(size: tuple[int, int]) -> None:
    frame = draw_scene(3.3, size)
    assert frame.shape == (size[1], size[0], 3)
    assert frame.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
def test_the_face_stays_inside_the_frame(size: tuple[int, int]) -> None:
    for frame in range(round(30 * CYCLE_S)):
        x, y, width, height = face_box_at(frame / 30, size)
        assert width > 0 and height > 0
        assert x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1]


def test_the_face_is_150_to_250_pixels_high_at_640_by_480() -> None:
    heights = [face_box_at(frame / 30)[3] for frame in range(round(30 * CYCLE_S))]
    assert 145 <= min(heights) < 165
    assert 215 < max(heights) <= 250


def test_consecutive_frames_differ_but_do_not_jump() -> None:
    frames = [draw_scene(2.6 + k / 30) for k in range(12)]
    for one, two in pairwise(frames):
        assert 0 < np.abs(one.astype(int) - two).mean() < 12


def test_the_body_reaches_the_lower_edge() -> None:
    for size in SIZES:
        for t in np.arange(0, CYCLE_S, 1.0):
            x, _, width, _ = face_box_at(float(t), size)
            blue, _, red = draw_scene(float(t), size)[-1, int(x + width / 2)].astype(int)
            assert blue > red + 20  # the jumper; the wall is gray


@pytest.mark.parametrize(("size", "step"), [((640, 480), 6), ((320, 240), 15)])
def test_haar_finds_the_face_and_nothing_else(size: tuple[int, int], step: int) -> None:
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("this OpenCV has no Haar cascades")
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def detect(image: Image) -> list[Box]:
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return [tuple(map(float, box)) for box in cascade.detectMultiScale(gray, 1.1, 5, minSize=(40, 40))]

    found, extra = found_and_extra(detect, size, step)
    assert found >= 0.99
    assert extra <= 1


@pytest.mark.parametrize(("size", "step"), [((640, 480), 6), ((320, 240), 15)])
def test_yunet_finds_the_face_and_nothing_else(size: tuple[int, int], step: int, yunet_file: Path) -> None:
    yunet = cv2.FaceDetectorYN_create(str(yunet_file), "", size, 0.6)

    def detect(image: Image) -> list[Box]:
        _, rows = yunet.detect(image)
        return [] if rows is None else [tuple(map(float, row[:4])) for row in rows]

    found, extra = found_and_extra(detect, size, step)
    assert found >= 0.99
    assert extra <= 1


@pytest.mark.parametrize(("size", "step"), [((640, 480), 6), ((320, 240), 15)])
def test_luma_finds_the_face_and_nothing_else(size: tuple[int, int], step: int) -> None:
    luma = LumaDetector()

    def detect(image: Image) -> list[Box]:
        return [found.box for found in luma.detect(image)]

    found, extra = found_and_extra(detect, size, step)
    assert found >= 0.99
    assert extra <= 1


def test_the_shipped_network_names_every_acted_expression() -> None:
    recognizer = EmotionRecognizer()
    times = [slot * CYCLE_S / 7 + into for slot in range(7) for into in (0.25, 0.4, 0.55)]
    for t in times:
        (face,) = recognizer(draw_scene(t))
        assert (face.emotion, face.unsure) == (expression_at(t), False), (t, face)


def test_the_stored_portrait_is_the_drawn_one() -> None:
    """After a change of fer_edge.demo.head: python -m fer_edge.demo.portrait."""
    stored, drawn = still_portrait(STORED_PX), paint_portrait(STORED_PX)
    assert stored.shape == drawn.shape
    assert not stored.flags.writeable
    assert np.abs(stored.astype(int) - drawn).mean() < 0.01  # other processors round differently


def test_other_sizes_are_drawn() -> None:
    assert np.array_equal(still_portrait(1.25), paint_portrait(1.25))
