from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_train.detection.synthesis import altered_heads, hard_negatives
from fer_train.detection.synthesis.altered_heads import (
    KIND_SHARES,
    MAX_COPIES,
    altered_tiles,
    bystanders,
    fer_heads,
    fringed,
    save_kinds,
    turned,
    with_face,
    with_kinds,
)
from fer_train.detection.synthesis.hard_negatives import MAX_TEACHER_SCORE, mine_hard_negatives
from fer_train.detection.synthesis.tiles import FaceTiles, uniform_tiles

MakeTeacher = Callable[..., Any]


def test_another_face_lies_where_the_old_one_was() -> None:
    image, face = np.full((128, 128), 100, np.uint8), np.full((48, 48), 100, np.uint8)
    face[20:28, 20:28] = 200  # in its middle
    shown = with_face(image, np.array([30, 40, 41, 53], np.float32), face, 1.0).astype(int)  # FER_BOX of a side of 50
    y, x = np.nonzero(shown > 150)
    assert (x.mean(), y.mean()) == pytest.approx((30 + 41 / 2, 40 + 53 / 2), abs=1.5)
    assert (shown[:, :15] == 100).all()
    assert (shown[:, 90:] == 100).all()


@pytest.mark.parametrize("gray", [None, 240.0])
def test_a_fringe_or_cap_covers_only_the_forehead(gray: float | None) -> None:
    image = np.full((128, 128), 120, np.uint8)
    image[:44] = 20  # hair
    shown = fringed(np.random.default_rng(0), image, np.array([40, 44, 40, 50], np.float32), 0.3, gray).astype(int)
    forehead = shown[46:54, 50:70]
    assert (forehead < 60).all() if gray is None else (forehead > 160).all()
    assert (shown[75:, :] == 120).all()
    assert np.array_equal(shown[:, :28], image[:, :28])
    assert np.array_equal(shown[:, 92:], image[:, 92:])


@pytest.mark.parametrize(("angles", "direction"), [((0.5, 0, 0), (1, 0)), ((0, 0.5, 0), (0, 1)), ((0, 0, 0.5), (0, 0))])
def test_a_head_turns_as_its_angles_say(angles: tuple[float, float, float], direction: tuple[int, int]) -> None:
    image = np.full((128, 128), 120, np.uint8)
    image[60:68, 60:68] = 250  # the middle of the head
    shown = turned(image, (64, 64, 30, 40), *angles)
    y, x = np.nonzero(shown > 200)
    for moved, sign in zip((x.mean() - 63.5, y.mean() - 63.5), direction, strict=True):
        assert moved > 8 if sign else abs(moved) < 1
    corner = np.hypot((np.arange(128) - 64) / 30, (np.arange(128)[:, None] - 64) / 40) > 1
    assert np.array_equal(shown[corner], image[corner])


@pytest.mark.parametrize(("with_fer", "sees", "per_face"), [(False, True, 2), (True, True, 3), (True, False, 0)])
def test_altered_heads_are_kept_where_the_teacher_still_detects_them(
    with_fer: bool, sees: bool, per_face: int, tiles: FaceTiles, teacher: MakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(altered_heads, "FRINGE_SHARE", 1)
    everywhere = [[x, y, 40, 50, 0.9] for x in range(-20, 110, 10) for y in range(-20, 110, 10)]
    some = tiles.part(slice(8))  # six of them show a face
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8) if with_fer else None
    altered = altered_tiles(some, faces, teacher(everywhere if sees else ()), 0)
    assert len(altered) == 6 * per_face
    assert not any(np.array_equal(image, original) for image in altered.images for original in some.images)


def test_faint_detections_in_altered_photos_are_background(tiles: FaceTiles, teacher: MakeTeacher) -> None:
    one = tiles.part(slice(1))
    face = [*one.boxes[0][0, :4], 0.9]
    altered = altered_tiles(one, None, teacher([face, [0, 0, 9, 9, 0.29], [90, 90, 20, 20, 0.31]]), 0)
    assert [faces[:, 4].tolist() for faces in altered.boxes] == [pytest.approx([0.9, 0.31])] * len(altered)
    moved = [face[0] + face[2], *face[1:]]
    assert len(altered_tiles(one, None, teacher([moved]), 0)) == 0  # another face, not this one


def test_bystanders_are_enlarged_but_not_the_main_person(teacher: MakeTeacher) -> None:
    image = np.full((128, 128), 100, np.uint8)
    image[100:116, 8:20] = 200  # behind

    def seen(scene: np.ndarray) -> list[list[float]]:
        """The people of the whole photo, and the bright spot in a view of it."""
        if np.array_equal(scene, image):
            return [[8, 100, 12, 16, 0.6], [60, 30, 50, 60, 0.9], [30, 5, 5, 6, 0.9]]
        return [[*cv2.boundingRect((scene > 150).astype(np.uint8)), 0.8]]

    found = bystanders(uniform_tiles([image]), teacher(seen), 0)
    assert len(found) == 3  # views of one: the other is too small
    for view, faces in zip(found.images, found.boxes, strict=True):
        assert faces[0, 3] > 2 * 16
        assert (view > 150).any()
    assert len(bystanders(uniform_tiles([image]), teacher(), 0)) == 0


def test_turned_heads_of_fer2013_get_shoulders_and_frontal_ones_do_not(teacher: MakeTeacher) -> None:
    body = [50, 40, 20, 28, 0.9]
    tiles = uniform_tiles([np.full((128, 128), 100, np.uint8)], [np.array([body], np.float32)])

    def best(image: np.ndarray) -> np.ndarray | None:
        """A frontal face in dark images, one in profile in bright ones, none in black ones."""
        if not image.any():
            return None
        nose = 80 if image.mean() < 120 else 60
        return np.array([62, 40, 36, 50, 70, 60, 90, 60, nose, 71.6, 72, 80, 88, 80, 0.9], np.float32)

    dark, bright, black = (np.full((48, 48), gray, np.uint8) for gray in (60, 200, 0))
    bright[:, :24] = 240
    assert len(fer_heads(tiles, np.array([dark, black]), teacher([body], best), 0)) == 0
    heads = fer_heads(tiles, np.array([dark, bright]), teacher([body], best), 0)
    assert len(heads) == MAX_COPIES
    for shown, faces in zip(heads.images, heads.boxes, strict=True):
        assert abs(int(shown[54, 50]) - int(shown[54, 70])) > 10  # its halves
        assert (shown[:, :5] == 100).all() and (shown[:5] == 100).all()
        assert len(faces) == 1
    assert len(fer_heads(tiles, bright[None], teacher((), best), 0)) == 0


class AlarmingDetector:
    """Sees a face in the sixth piece, and one across two others."""

    def search(self, _scene: np.ndarray, _threshold: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([[90, 85, 130, 140], [60, 5, 100, 60]], np.float32), np.array([0.9, 0.5], np.float32)


def mine(tiles: FaceTiles, teacher: Any, sheets: int, seed: int = 0) -> FaceTiles:
    return mine_hard_negatives(tiles, AlarmingDetector(), teacher, sheets, seed)  # type: ignore[arg-type]


def test_false_alarms_are_mined_where_the_teacher_detects_no_face(tiles: FaceTiles, teacher: MakeTeacher) -> None:
    found = mine(tiles, teacher([[88, 86, 42, 52, 0.0]]), 3)
    assert len(found) == 3  # one per sheet: the other lies in two pieces
    assert [len(faces) for faces in found.boxes] == [0] * 3
    assert found.weights.sum() == pytest.approx(1)
    assert np.array_equal(found.images, mine(tiles, teacher(), 3).images)
    assert len(mine(tiles, teacher([[88, 86, 42, 52, MAX_TEACHER_SCORE]]), 3)) == 0
    assert len(mine(tiles.part(slice(0)), teacher(), 3)) == 0


def test_mined_pieces_show_hardly_anything_of_a_face(teacher: MakeTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_negatives, "relit", lambda _rng, piece: piece)
    images, boxes = np.full((2, 128, 128), 60, np.uint8), []
    for image, (x, y, width, height) in zip(images, ((40, 30, 40, 60), (80, 90, 12, 16)), strict=True):
        image[y : y + height, x : x + width] = 200
        boxes.append(np.array([[x, y, width, height, 0.9]], np.float32))
    found = mine(uniform_tiles(images, boxes), teacher(), 60)
    assert len(found) == 60
    shares = [(piece > 130).mean() for piece in found.images]
    assert max(shares) < 0.2  # large faces
    assert sum(share > 0 for share in shares) > 1  # the edges of faces are among them
    monkeypatch.setattr(hard_negatives, "PIECE_PX", (60.0, 60.5))
    pieces = mine(uniform_tiles(images[1:], boxes[1:]), teacher(), 30, 1).images
    assert max((piece > 130).mean() for piece in pieces) < 0.6 * 12 * 16 / 60**2  # never the whole small one


def test_stored_kinds_come_back_with_their_shares(tiles: FaceTiles, tmp_path: Path) -> None:
    parts = [[uniform_tiles(tiles.images[n : n + 1], tiles.boxes[n : n + 1]) for n in start] for start in
             ((0, 1, 2, 3), (4, 5, 6, 7))]  # fmt: skip
    save_kinds(parts, tmp_path / "altered.npz")
    mixed = with_kinds(tiles, tmp_path / "altered.npz")
    order = [0, 4, 1, 5, 2, 6, 3, 7]  # kind by kind
    assert np.array_equal(mixed.images, np.concatenate([tiles.images, tiles.images[order]]))
    for faces, number in zip(mixed.boxes[len(tiles) :], order, strict=True):
        assert np.array_equal(faces, tiles.boxes[number])
    assert mixed.weights[len(tiles) :].reshape(4, 2).sum(1) == pytest.approx(KIND_SHARES)
    assert mixed.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("content", [None, b"", b"text", "two kinds", "no form", "older form"])
def test_files_of_another_form_are_refused(
    tiles: FaceTiles, tmp_path: Path, content: bytes | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "altered.npz"
    if isinstance(content, str):
        with monkeypatch.context() as older:
            if content == "older form":
                older.setattr(altered_heads, "FILE_FORMAT", 1)
            save_kinds([[tiles] * (2 if content == "two kinds" else len(KIND_SHARES))], file)
    if content == "no form":
        with np.load(file) as values:
            np.savez(file, **{name: value for name, value in values.items() if name != "form"})
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"from an older fer-train.*run fer-train scenes"):
        with_kinds(tiles, file)
