"""Faces are hidden on pixels, in everything that leaves, for as long as they are held."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge import EmotionRecognizer, StreamOptions, annotate
from fer_edge.cli.commands import edge
from fer_edge.cli.viewing import _read
from fer_edge.framing import Image
from fer_edge.privacy.blur import CELLS, HOLD_S, Blur, blur
from fer_edge.results import Face, FrameResult, LeftOut


def noise(height: int = 200, width: int = 300, channels: int = 3) -> Image:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def colors(image: Image) -> int:
    """How many different colors `image` holds."""
    return len(np.unique(image.reshape(image.shape[0] * image.shape[1], -1), axis=0))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_inside_the_enlarged_box_are_cells_and_outside_nothing_changes(channels: int) -> None:
    image = noise(channels=channels)
    hidden = blur(image, [(100, 60, 80, 100)])
    inside = np.zeros(image.shape[:2], bool)
    inside[45:175, 88:192] = True  # 130 x 104: 15 and 12 pixels more on each side
    np.testing.assert_array_equal(hidden[~inside], image[~inside])
    part = hidden[45:175, 88:192]
    assert colors(part) <= CELLS**2
    down = np.any(np.diff(part.astype(int), axis=0).reshape(129, -1) != 0, axis=1)
    across = np.any(np.diff(np.swapaxes(part, 0, 1).astype(int), axis=0).reshape(103, -1) != 0, axis=1)
    assert (down.sum(), across.sum()) == (CELLS - 1, CELLS - 1), "nothing changes but from cell to cell"
    cell = image[45:61, 88:101]  # the first cell is its pixels' mean
    np.testing.assert_allclose(part[0, 0], cell.mean(axis=(0, 1)), atol=4)


def test_pixels_that_differ_only_within_a_cell_give_the_same_mosaic() -> None:
    image = noise(208, 208)
    cell = image[24 + 4 : 24 + 16, 24 + 4 : 24 + 16]
    other = image.copy()
    other[28:40, 28:40] = cell[::-1, ::-1]
    box = (48.0, 48.0, 123.0, 123.0)  # of 160 pixels enlarged, 20 per cell, from 29.55
    first, second = blur(image, [box]), blur(other, [box])
    np.testing.assert_array_equal(first[60:160, 60:160], second[60:160, 60:160])


@pytest.mark.parametrize(
    "box",
    [
        (-40, -40, 100, 100), (290, 100, 100, 100), (10, 10, 3, 3), (100, 198, 2, 2), (0, 0, 300, 200),
        (50.4, 20.6, 9.9, 9.2),
    ],
)  # fmt: skip
def test_no_original_row_remains_in_a_box_at_the_border_or_in_a_tiny_one(
    box: tuple[float, float, float, float],
) -> None:
    image = noise()
    hidden = blur(image, [box])
    x, y, width, height = (round(value) for value in box)
    left, top, right, bottom = max(0, x), max(0, y), min(300, x + width), min(200, y + height)
    same = (hidden[top:bottom, left:right] == image[top:bottom, left:right]).all(axis=-1)
    assert same.mean() < 0.05


def test_a_box_outside_the_image_or_none_hides_nothing() -> None:
    image = noise()
    for boxes in ([], [(400.0, 10.0, 50.0, 50.0)], [(-90.0, 10.0, 50.0, 50.0)]):
        np.testing.assert_array_equal(blur(image, boxes), image)


def test_all_hides_the_whole_image_with_or_without_faces() -> None:
    assert colors(blur(noise(), [], "all")) <= CELLS**2


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="blur='eyes': use 'faces', 'all' or None"):
        blur(noise(), [], "eyes")
    with pytest.raises(ValueError, match="blur='eyes'"):
        StreamOptions(blur="eyes")
    with pytest.raises(ValueError, match="blur='eyes'"):
        annotate(noise(), [], blur="eyes")


def test_a_lost_face_stays_hidden_for_a_moment(make_face: Callable[..., Face]) -> None:
    image, hide = noise(), Blur("faces")
    face = make_face(box=(100.0, 60.0, 80.0, 80.0))
    first = hide(image, [face], 0.0)
    np.testing.assert_array_equal(hide(image, [], HOLD_S), first)
    np.testing.assert_array_equal(hide(image, [], HOLD_S + 0.1), image)
    assert not first.flags.writeable


def test_separate_images_hide_their_own_faces_only(make_face: Callable[..., Face]) -> None:
    image, hide = noise(), Blur("faces", hold=False)
    hide(image, [make_face()], 0.0)
    np.testing.assert_array_equal(hide(image, [], 0.0), image)


def test_annotate_hides_before_it_draws(make_face: Callable[..., Face]) -> None:
    image, face = noise(), make_face(box=(100.0, 60.0, 80.0, 80.0))
    drawn = annotate(image, [face], bars=False, blur="faces")
    np.testing.assert_array_equal(drawn, annotate(blur(image, [face.box]), [face], bars=False))


def hidden_at(image: Image, faces: Sequence[Face]) -> None:
    """Fail unless each face of `image` is a mosaic."""
    for face in faces:
        left, top, right, bottom = face.xyxy
        assert colors(image[top:bottom, left:right]) <= (CELLS + 1) ** 2


def test_the_stream_gives_hidden_images_of_the_same_faces(model: Path) -> None:
    options = StreamOptions(blur="faces", max_frames=3, lossless=True)
    recognizer = EmotionRecognizer(model)
    results = list(recognizer.stream("demo:320x240", options=options))
    plain = list(recognizer.stream("demo:320x240", options=replace(options, blur=None)))
    for result, original in zip(results, plain, strict=True):
        assert result.faces and len(result.faces) == len(original.faces)
        hidden_at(result.image, result.faces)
        assert colors(original.image) > 1000
    everything = next(recognizer.stream("demo:320x240", options=StreamOptions(blur="all")))
    assert everything.faces and colors(everything.image) <= CELLS**2


@pytest.mark.parametrize("output", ["out.png", "out.avi", "out.webp", "folder"])
def test_the_command_gives_every_output_hidden_faces_only(
    model: Path, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = []

    def record(image: Image, faces: Sequence[Face]) -> Image:
        given.append((image, faces))
        return image.copy()

    monkeypatch.setattr("fer_edge.sinks.overlay.annotate", record)  # all image outputs draw with it
    arguments = ["demo:320x240", "--headless", "--model", str(model), "--blur", "faces", "--output", output]
    frames = "1" if output == "out.png" else "2"
    result = CliRunner().invoke(edge, [*arguments, "--lossless", "--max-frames", frames, "--report", "report.json"])
    assert result.exit_code == 0, result.output
    assert given
    for image, faces in given:
        assert faces
        hidden_at(image, faces)
    if output == "out.png":
        np.testing.assert_array_equal(cv2.imread(output), given[0][0])
    assert json.loads(Path("report.json").read_text())["settings"]["blur"] == "faces"


def test_the_window_shows_hidden_images_that_it_reads_again(
    model: Path, tmp_path: Path, face_image: Image, fakes: Any
) -> None:
    file = tmp_path / "photo.png"
    cv2.imwrite(str(file), face_image)
    pipeline = fakes.pipeline(fakes.Source(1), options=StreamOptions(blur="faces"))
    faces = EmotionRecognizer(model)(face_image)
    result = FrameResult(0, 0.0, True, tuple(faces))
    np.testing.assert_array_equal(_read(pipeline, str(file), result), blur(face_image, [faces[0].box]))
    left_out = FrameResult(0, 0.0, True, left_out=LeftOut(boxes=(faces[0].box,)))
    np.testing.assert_array_equal(_read(pipeline, str(file), left_out), blur(face_image, [faces[0].box]))


LEAVES_OUT = [{"min_face_px": 400}, {"min_score": 2.0}, {"min_face_px": 400, "min_score": 2.0}]


@pytest.mark.parametrize("settings", LEAVES_OUT, ids=["small", "faint", "both"])
@pytest.mark.parametrize("detect_hz", [None, 5.0])
def test_faces_that_are_left_out_are_hidden_in_a_stream(
    model: Path, settings: dict[str, float], detect_hz: float | None
) -> None:
    options = StreamOptions(blur="faces", max_frames=12, lossless=True, detect_hz=detect_hz)
    boxes = [result.faces for result in EmotionRecognizer(model).stream("demo:320x240", options=options)]
    results = list(EmotionRecognizer(model, **settings).stream("demo:320x240", options=options))
    for result, faces in zip(results, boxes, strict=True):
        assert (len(result.faces), len(faces)) == (0, 1)
        hidden_at(result.image, faces)


@pytest.mark.parametrize("settings", LEAVES_OUT, ids=["small", "faint", "both"])
def test_faces_that_are_left_out_are_hidden_in_images(
    model: Path, settings: dict[str, float], face_image: Image, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), face_image)
    [face] = EmotionRecognizer(model)(face_image)
    [result] = EmotionRecognizer(model, **settings).stream(tmp_path, options=StreamOptions(blur="faces"))
    assert (len(result.faces), len(result.left_out.boxes) > 0) == (0, True)
    hidden_at(result.image, [face])


def test_a_left_out_face_stays_hidden_for_a_moment_under_its_own_number(make_face: Callable[..., Face]) -> None:
    image, hide, box = noise(), Blur("faces"), (100.0, 60.0, 80.0, 80.0)
    first = hide(image, [make_face(box=(0.0, 0.0, 30.0, 30.0))], 0.0, {0: box})
    np.testing.assert_array_equal(hide(image, [], HOLD_S), first)
    np.testing.assert_array_equal(hide(image, [], HOLD_S + 0.1), image)
