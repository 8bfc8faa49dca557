import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fer_edge.demo.scene import CYCLE_S, draw_scene, face_box_at
from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError, ModelError
from fer_train.detection.augment import MOST_SHARPENED, augment, compressed, sharpened
from fer_train.detection.synthesis import clutter as things
from fer_train.detection.synthesis import pool
from fer_train.detection.synthesis.altered_heads import (
    COPIES,
    SHARES,
    altered_tiles,
    bystanders,
    fer_heads,
    fringed,
    save_tiles,
    swapped,
    with_altered,
)
from fer_train.detection.synthesis.hard_negatives import DOUBT, mined
from fer_train.detection.synthesis.mosaic import MosaicMaker
from fer_train.detection.synthesis.scenes import IGNORED, MAX_FACES, SCENE_PX, SceneMaker
from fer_train.detection.synthesis.teacher import Teacher, overlaps
from fer_train.detection.synthesis.textures import with_drawn
from fer_train.detection.synthesis.tiles import COLUMNS, FaceTiles, load_tiles

YUNET = Path(__file__).parents[4] / "shared" / "models" / "face_detection_yunet_2023mar.onnx"
HEADER = ",".join(COLUMNS)


def drawn_tile(moment: float) -> tuple[np.ndarray, list[float]]:
    """A tile of the demo's person, uint8 [128, 128], and the face's box."""
    x, y, width, height = face_box_at(moment)
    picture = cv2.cvtColor(draw_scene(moment), cv2.COLOR_BGR2GRAY)
    side = int(2 * height)
    left, top = int(x + width / 2 - side / 2), int(max(0, y + height / 2 - side / 2))
    cut = picture[top : top + side, max(left, 0) : max(left, 0) + side]
    scale = 128 / cut.shape[0]
    box = [(x - max(left, 0)) * scale, (y - top) * scale, width * scale, height * scale]
    return cv2.resize(cut, (128, 128)), box


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tiles in the form of a folder of photographs; every fourth shows nobody."""
    folder = tmp_path_factory.mktemp("faces")
    tiles, rows = [], [HEADER]
    for number in range(40):
        tile, (x, y, width, height) = drawn_tile(number * CYCLE_S / 40)
        if number % 4 == 3:
            tile = np.random.default_rng(number).integers(60, 200, (128, 128), dtype=np.uint8)
        else:
            eyes, mouth, nose = y + height * 0.4, y + height * 0.8, x + width / 2
            cells = (number, x, y, width, height, 0.9, nose - 12, eyes, nose + 12, eyes, nose, y + height * 0.6)
            rows.append(",".join(map(str, (*cells, mouth, mouth))))
        tiles.append(tile)
    cv2.imwrite(str(folder / "tiles_00.jpg"), np.hstack(tiles))
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def tiles(folder: Path) -> FaceTiles:
    return load_tiles(folder)


def test_tiles_are_read_in_order_with_their_boxes(tiles: FaceTiles) -> None:
    assert tiles.images.shape == (39, 128, 128)  # up to the last that boxes.csv names
    assert [len(boxes) for boxes in tiles.boxes[:4]] == [1, 1, 1, 0]
    expected, box = drawn_tile(0.0)
    assert np.abs(tiles.images[0].astype(int) - expected).mean() < 4  # JPEG
    assert tiles.boxes[0][0, :4] == pytest.approx(box, abs=0.01)
    assert tiles.weights.sum() == pytest.approx(1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"no boxes\.csv"):
        load_tiles(tmp_path)
    (tmp_path / "boxes.csv").write_text("tile,x\n0,1\n")
    with pytest.raises(DataError, match="lacks the column y"):
        load_tiles(tmp_path)
    (tmp_path / "boxes.csv").write_text((folder / "boxes.csv").read_text())
    with pytest.raises(DataError, match=r"tiles_00\.jpg is missing"):
        load_tiles(tmp_path)
    cv2.imwrite(str(tmp_path / "tiles_00.jpg"), np.zeros((100, 100), np.uint8))
    with pytest.raises(DataError, match="100x100"):
        load_tiles(tmp_path)


def test_scenes_depend_on_their_seed_alone(tiles: FaceTiles) -> None:
    fer = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    first, second, other = (SceneMaker(tiles, fer, seed) for seed in (3, 3, 4))
    for _ in range(6):
        (a, faces_a), (b, faces_b), (c, _) = first.make(), second.make(), other.make()
        assert (a == b).all()
        assert (faces_a == faces_b).all()
        assert (a != c).any()


def test_scenes_hold_faces_of_many_sizes_within_the_picture_and_some_hold_none(tiles: FaceTiles) -> None:
    maker, heights, empty = SceneMaker(tiles, None, 0), [], 0
    for _ in range(60):
        scene, faces = maker.make()
        assert scene.shape == (SCENE_PX, SCENE_PX)
        assert scene.dtype == np.uint8
        assert len(faces) <= MAX_FACES
        assert set(np.unique(faces[:, 4])) <= {1.0, IGNORED}
        plain = faces[faces[:, 4] > 0]
        heights += plain[:, 3].tolist()
        centers = plain[:, :2] + plain[:, 2:4] / 2
        assert (centers > -20).all()
        assert (centers < SCENE_PX + 20).all()
        empty += not len(faces)
    assert min(heights) < 24
    assert max(heights) > 100
    assert 4 < empty < 40


@pytest.mark.skipif(not YUNET.is_file(), reason=f"{YUNET.name} is not beside this checkout")
def test_the_teacher_finds_what_the_composer_left_out() -> None:
    teacher = Teacher(YUNET)
    x, y, width, height = face_box_at(0.5, (320, 240))
    scene = np.full((SCENE_PX, SCENE_PX), 128, np.uint8)
    scene[:240] = cv2.cvtColor(draw_scene(0.5, (320, 240)), cv2.COLOR_BGR2GRAY)
    truth = np.array([[x, y, width, height, 1]], np.float32)
    nobody = np.empty((0, 5), np.float32)
    unsure = truth * np.float32([1, 1, 1, 1, IGNORED])
    shares = []
    for composed in (nobody, unsure, truth):
        agreed = teacher.correct(scene, composed)
        same = overlaps(agreed, truth)[:, 0] > 0.5
        assert same.sum() == 1
        shares.append(float(agreed[same, 4].sum()))
    assert 0.5 < shares[0] < shares[1] < shares[2] <= 1  # the surer, the more the composer knows of it
    assert shares[0] == pytest.approx(shares[1] ** 2)
    assert shares[2] == 1  # sure enough
    tiny = np.full((SCENE_PX, SCENE_PX), 128, np.uint8)
    tiny[:40, :53] = cv2.resize(scene[:240], (53, 40), interpolation=cv2.INTER_AREA)
    # Too small for YuNet, but in the doubled scene
    assert overlaps(teacher.faces(tiny), truth / 6).max() > 0.5
    nowhere = np.array([[10, 270, 30, 40, 1]], np.float32)
    assert (teacher.correct(scene, nowhere)[:, 4] == IGNORED).any()  # one says so, the other doesn't


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_a_teacher_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match=r"YuNet|--teacher"):
        Teacher(tmp_path / "file")


class Agreeing:
    """A teacher who agrees with everything."""

    def __init__(self, _file: Path) -> None:
        pass

    def correct(self, _scene: np.ndarray, faces: np.ndarray) -> np.ndarray:
        return faces

    def faces(self, _scene: np.ndarray) -> np.ndarray:
        return np.array([[40, 30, 40, 60, 0.9]], np.float32)

    def surest(self, _picture: np.ndarray) -> np.ndarray | None:
        return None


class Everywhere(Agreeing):
    """A teacher who sees faces all over."""

    def faces(self, _scene: np.ndarray) -> np.ndarray:
        return np.array([[x, y, 40, 50, 0.9] for x in range(-20, 110, 10) for y in range(-20, 110, 10)], np.float32)


class Blind(Agreeing):
    """A teacher who sees nobody."""

    def faces(self, _scene: np.ndarray) -> np.ndarray:
        return np.empty((0, 5), np.float32)


def test_a_pool_is_made_once_and_read_whole(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SHARD", 3)
    monkeypatch.setattr(pool, "DRAWN_TILES", 20)
    monkeypatch.setattr(pool, "Teacher", Agreeing)
    monkeypatch.setattr(pool, "PARTS", 2)
    monkeypatch.setattr(pool, "MINED_PICTURES", 2)
    parts: list[int] = []
    for teacher in (Agreeing, None):
        monkeypatch.setattr(pool, "Teacher", teacher)  # asked the first time only
        pool.alter_heads(tmp_path, folder, None, YUNET, 1, parts.append)
    assert parts == [0, 1, 0, 1]
    monkeypatch.setattr(pool, "Teacher", Agreeing)
    done: list[int] = []
    assert pool.make_pool(tmp_path, 2, folder, None, YUNET, 1, done.append) == 2
    first = (tmp_path / "scenes_000.npy").read_bytes()
    (tmp_path / "faces_001.npy").unlink()  # as after a stop
    assert pool.make_pool(tmp_path, 2, folder, None, YUNET, 1, done.append) == 1
    assert done == [0, 1, 0, 1]
    assert (tmp_path / "scenes_000.npy").read_bytes() == first
    scenes, faces = pool.load_pool(tmp_path, torch.device("cpu"))
    assert scenes.shape == (6, SCENE_PX, SCENE_PX)
    assert faces.shape == (6, MAX_FACES, 5)
    assert (faces[..., 4] != 0).any()
    mosaics, theirs = pool.load_pool(tmp_path, torch.device("cpu"), mosaics_only=True)
    places = [1, 2, 4, 5]  # of each three the second half, rounded up
    assert torch.equal(mosaics, scenes[places])
    assert torch.equal(theirs, faces[places])


@pytest.mark.parametrize("made", [False, True])
def test_wrong_photographs_are_told_before_workers_start(
    made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "Teacher", Agreeing)
    out = tmp_path / "pool"
    with pytest.raises(DataError, match=r"no boxes\.csv"):
        if made:
            pool.make_pool(out, 1, tmp_path, None, YUNET, 2, lambda _shard: None)
        else:
            pool.alter_heads(out, tmp_path, None, YUNET, 2, lambda _part: None)
    assert not out.exists()


def test_another_face_lies_where_the_old_one_was() -> None:
    image = np.full((128, 128), 100, np.uint8)
    face = np.full((48, 48), 100, np.uint8)
    face[20:28, 20:28] = 200  # in its middle
    seen = swapped(image, np.array([30, 40, 41, 53], np.float32), face, 1.0).astype(int)  # FER_BOX of a side of 50
    y, x = np.nonzero(seen > 150)
    assert (x.mean(), y.mean()) == pytest.approx((30 + 41 / 2, 40 + 53 / 2), abs=1.5)
    assert (seen[:, :15] == 100).all()
    assert (seen[:, 90:] == 100).all()


@pytest.mark.parametrize("gray", [None, 240.0])
def test_a_fringe_or_cap_covers_the_forehead_and_no_more(gray: float | None) -> None:
    image = np.full((128, 128), 120, np.uint8)
    image[:44] = 20  # hair
    box = np.array([40, 44, 40, 50], np.float32)
    seen = fringed(np.random.default_rng(0), image, box, 0.3, gray).astype(int)
    forehead = seen[46:54, 50:70]
    assert (forehead < 60).all() if gray is None else (forehead > 160).all()
    assert (seen[75:, :] == 120).all()
    assert np.array_equal(seen[:, :28], image[:, :28])
    assert np.array_equal(seen[:, 92:], image[:, 92:])


def test_in_a_crowd_people_stand_before_others(tiles: FaceTiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SceneMaker, "_background", lambda _self: np.full((SCENE_PX, SCENE_PX), 127, np.uint8))
    maker, flags, counts = SceneMaker(tiles, None, 0), [], []
    for _ in range(8):
        _, faces = maker._crowd()
        flags += faces[:, 4].tolist()
        counts.append(len(faces))
    assert max(counts) > 20
    assert 0.03 < np.mean(np.array(flags) == IGNORED) < 0.6  # partly behind others


def test_altered_heads_are_kept_where_the_teacher_still_sees_them(
    tiles: FaceTiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_train.detection.synthesis.altered_heads.FRINGE_SHARE", 1)
    monkeypatch.setattr(
        "fer_train.detection.synthesis.altered_heads.CLEARED", 1e-3
    )  # so that others on the head don't matter
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    shown = sum(bool(len(boxes)) for boxes in tiles.boxes)
    for name, fer_faces, teacher, count in (
        ("turned, fringed", None, Everywhere, 3 * shown),
        ("another face, too", faces, Everywhere, 4 * shown),
        ("none", faces, Blind, 0),
    ):
        new = altered_tiles(tiles, fer_faces, teacher(YUNET), 0)  # type: ignore[arg-type]
        assert len(new) == count
        beside = FaceTiles(new.images[:2], new.boxes[:2], new.weights[:2])
        more, last = (FaceTiles(new.images[n : n + 1], new.boxes[n : n + 1], new.weights[:1]) for n in (2, 3))
        kinds = [new, beside, more, last]
        save_tiles([[kind] for kind in kinds], tmp_path / name)
        both = with_altered(tiles, tmp_path / name)
        assert np.array_equal(both.images, np.concatenate([tiles.images, *(kind.images for kind in kinds)]))
        if len(new):
            weights = [both.weights[len(tiles) : -4].sum(), both.weights[-4:-2].sum(), *both.weights[-2:]]
            assert weights == pytest.approx(SHARES)
        assert len(both.boxes) == len(both.weights) == len(both.images)
        assert both.weights.sum() == pytest.approx(1)
        assert all(np.array_equal(a, b) for a, b in zip(both.boxes[len(tiles) :], new.boxes, strict=False))


def test_turned_heads_are_sought_where_they_turned_and_alone(tiles: FaceTiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher who sees the old place alone, the new one alone, and something else on the head, too."""
    monkeypatch.setattr("fer_train.detection.synthesis.altered_heads.FRINGE_SHARE", 0)
    monkeypatch.setattr("fer_train.detection.synthesis.altered_heads.POSES", (((89.0, 90.0), (0.0, 1.0), 1.0),))
    monkeypatch.setattr("fer_train.detection.synthesis.altered_heads.TRIES", 1)
    monkeypatch.setattr("fer_train.detection.synthesis.altered_heads.ROLL_DEGREES", 0.0)
    tile = FaceTiles(tiles.images[:1], tiles.boxes[:1], np.ones(1))
    x, y, width, height = tiles.boxes[0][0, :4].tolist()
    right = [x + 0.6 * width, y, width, height]
    left = [x - 0.6 * width, y, width, height]
    for seen, kept in (
        ([[x, y, width, height, 0.9]], 0),
        ([[*right, 0.9], [*left, 0.2]], 2),
        ([[*right, 0.9], [*left, 0.5]], 0),
        ([[*right, 0.4]], 0),
    ):

        class Seeing(Agreeing):
            def faces(self, _scene: np.ndarray, seen: list[list[float]] = seen) -> np.ndarray:
                return np.array(seen, np.float32)

        made = [altered_tiles(tile, None, Seeing(YUNET), seed) for seed in range(8)]  # type: ignore[arg-type]
        assert max(map(len, made)) == kept


def test_bystanders_are_enlarged_but_not_whom_the_photograph_is_of() -> None:
    image = np.full((128, 128), 100, np.uint8)
    image[100:116, 8:20] = 200  # behind
    tiles = FaceTiles(image[None], (np.empty((0, 5), np.float32),), np.ones(1))
    main = [60, 30, 50, 60, 0.9]

    class Knowing(Agreeing):
        """Sees them in the whole photograph, and a bright spot in a view of it."""

        def faces(self, scene: np.ndarray) -> np.ndarray:
            if scene is image or np.array_equal(scene, image):
                return np.array([[8, 100, 12, 16, 0.6], main, [30, 5, 5, 6, 0.9]], np.float32)
            x, y, width, height = cv2.boundingRect((scene > 150).astype(np.uint8))
            return np.array([[x, y, width, height, 0.8]], np.float32)

    found = bystanders(tiles, Knowing(YUNET), 0)  # type: ignore[arg-type]
    assert len(found) == 3  # views of one: the other is too small
    for view, faces in zip(found.images, found.boxes, strict=True):
        assert faces[0, 3] > 2 * 16
        assert (view > 150).any()
    assert len(bystanders(tiles, Blind(YUNET), 0)) == 0  # type: ignore[arg-type]


def test_turned_heads_of_fer2013_get_shoulders_and_frontal_ones_do_not() -> None:
    image = np.full((128, 128), 100, np.uint8)
    tiles = FaceTiles(image[None], (np.array([[50, 40, 20, 28, 0.9]], np.float32),), np.ones(1))

    class Knowing(Agreeing):
        """Sees a frontal face in dark pictures, one in profile in bright ones, and none in black ones."""

        def faces(self, _scene: np.ndarray) -> np.ndarray:
            return np.array([[50, 40, 20, 28, 0.9]], np.float32)

        def surest(self, picture: np.ndarray) -> np.ndarray | None:
            if not picture.any():
                return None
            nose = 80 if picture.mean() < 120 else 60
            marks = [70, 60, 90, 60, nose, 71.6, 72, 80, 88, 80]
            return np.array([62, 40, 36, 50, *marks, 0.9], np.float32)

    dark, bright, black = (np.full((48, 48), gray, np.uint8) for gray in (60, 200, 0))
    bright[:, :24] = 240
    assert len(fer_heads(tiles, np.array([dark, black]), Knowing(YUNET), 0)) == 0  # type: ignore[arg-type]
    heads = fer_heads(tiles, np.array([dark, bright]), Knowing(YUNET), 0)  # type: ignore[arg-type]
    assert len(heads) == COPIES
    for shown, faces in zip(heads.images, heads.boxes, strict=True):
        assert abs(int(shown[54, 50]) - int(shown[54, 70])) > 10  # its halves
        assert (shown[:, :5] == 100).all() and (shown[:5] == 100).all()
        assert len(faces) == 1
    assert len(fer_heads(tiles, bright[None], Blind(YUNET), 0)) == 0  # type: ignore[arg-type]


class Alarming:
    """A detector that sees a face in the sixth piece, and one across two others."""

    def search(self, _scene: np.ndarray, _threshold: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([[90, 85, 130, 140], [60, 5, 100, 60]], np.float32), np.array([0.9, 0.5], np.float32)


def test_false_alarms_are_mined_where_the_teacher_sees_nobody(tiles: FaceTiles) -> None:
    class Knowing(Agreeing):
        """Sees a face where the first alarm is, this surely."""

        sure = 0.0

        def faces(self, _scene: np.ndarray) -> np.ndarray:
            return np.array([[88, 86, 42, 52, self.sure]], np.float32)

    teacher = Knowing(YUNET)
    found = mined(tiles, Alarming(), teacher, 3, 0)  # type: ignore[arg-type]
    assert len(found) == 3  # one a picture: the other lies in two pieces
    assert [len(faces) for faces in found.boxes] == [0] * 3
    assert found.weights.sum() == pytest.approx(1)
    assert np.array_equal(found.images, mined(tiles, Alarming(), teacher, 3, 0).images)  # type: ignore[arg-type]
    teacher.sure = DOUBT
    assert len(mined(tiles, Alarming(), teacher, 3, 0)) == 0  # type: ignore[arg-type]
    none = FaceTiles(tiles.images[:0], (), tiles.weights[:0])
    assert len(mined(none, Alarming(), teacher, 3, 0)) == 0  # type: ignore[arg-type]


def test_mined_pieces_show_hardly_anything_of_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_train.detection.synthesis.hard_negatives.relit", lambda _rng, piece: piece)
    images, boxes = np.full((2, 128, 128), 60, np.uint8), []
    for image, (x, y, width, height) in zip(images, ((40, 30, 40, 60), (80, 90, 12, 16)), strict=True):
        image[y : y + height, x : x + width] = 200
        boxes.append(np.array([[x, y, width, height, 0.9]], np.float32))
    tiles = FaceTiles(images, tuple(boxes), np.ones(2) / 2)
    found = mined(tiles, Alarming(), Blind(YUNET), 60, 0)  # type: ignore[arg-type]
    assert len(found) == 60
    shares = [(piece > 130).mean() for piece in found.images]
    assert max(shares) < 0.2  # large faces
    assert sum(share > 0 for share in shares) > 1  # the edges of faces are among them
    monkeypatch.setattr("fer_train.detection.synthesis.hard_negatives.PIECE_PX", (60.0, 60.5))
    small = FaceTiles(images[1:], tuple(boxes[1:]), np.ones(1))
    pieces = mined(small, Alarming(), Blind(YUNET), 60, 1).images  # type: ignore[arg-type]
    assert max((piece > 130).mean() for piece in pieces) < 0.6 * 12 * 16 / 60**2  # never the whole small one


@pytest.mark.skipif(not YUNET.is_file(), reason=f"{YUNET.name} is not beside this checkout")
def test_the_teacher_names_landmarks_and_sees_in_the_dark(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = cv2.cvtColor(draw_scene(0.0, (320, 240)), cv2.COLOR_BGR2GRAY)
    teacher = Teacher(YUNET)
    seen = teacher.surest(np.asarray(scene, np.uint8))
    assert seen is not None and seen.shape == (15,)
    assert seen[4] < seen[6] and seen[5] < seen[9] < seen[11]  # eye beside eye, above nose, above mouth
    night = (scene * 0.03).astype(np.uint8)
    assert len(teacher.faces(night))
    monkeypatch.setattr("fer_train.detection.synthesis.teacher.normalize_lighting", lambda picture: picture)
    assert not len(teacher.faces(night))


@pytest.mark.parametrize("content", [None, b"", b"text", "two kinds", "no form", "older form"])
def test_altered_heads_that_are_none_are_refused(
    tiles: FaceTiles, tmp_path: Path, content: bytes | str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "altered.npz"
    if isinstance(content, str):
        with monkeypatch.context() as before:
            if content == "older form":
                before.setattr("fer_train.detection.synthesis.altered_heads.FORM", 1)
            save_tiles([[tiles]] * (2 if content == "two kinds" else len(SHARES)), file)
    if content == "no form":
        with np.load(file) as values:
            np.savez(file, **{name: value for name, value in values.items() if name != "form"})
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(DataError, match="fer-train scenes"):
        with_altered(tiles, file)
    if file.exists():  # before any worker starts
        with pytest.raises(DataError, match="older"):
            pool.alter_heads(tmp_path, tmp_path, None, YUNET, 2, print)


def test_a_pool_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fer-train scenes"):
        pool.load_pool(tmp_path, torch.device("cpu"))
    np.save(tmp_path / "faces_000.npy", np.zeros(3))
    np.save(tmp_path / "scenes_000.npy", np.zeros(3))
    with pytest.raises(DataError, match="damaged"):
        pool.load_pool(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("mosaics_only", [False, True])
@pytest.mark.parametrize("count", [3, 8])
def test_shards_of_another_length_are_refused(
    mosaics_only: bool, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SHARD", 4)
    np.save(tmp_path / "scenes_000.npy", np.zeros((count, SCENE_PX, SCENE_PX), np.uint8))
    np.save(tmp_path / "faces_000.npy", np.zeros((count, MAX_FACES, 5), np.float32))
    with pytest.raises(DataError, match="damaged"):
        pool.load_pool(tmp_path, torch.device("cpu"), mosaics_only)


def test_augmenting_moves_boxes_with_the_picture() -> None:
    """A bright square on black, shown in many ways, stays where its box says."""
    scenes = torch.zeros(64, SCENE_PX, SCENE_PX, dtype=torch.uint8)
    scenes[:, 140:180, 120:200] = 250
    faces = torch.zeros(64, 2, 5)
    faces[:, 0] = torch.tensor([120.0, 140.0, 80.0, 40.0, 1.0])
    pictures, moved = augment(scenes, faces, 192, torch.Generator().manual_seed(0))
    assert pictures.shape == (64, 1, 192, 192)
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    assert (moved[:, 1, 4] == 0).all()  # nobody stays nobody
    checked = 0
    for picture, (x, y, width, height, flag) in zip(pictures[:, 0], moved[:, 0].tolist(), strict=True):
        if flag > 0 and min(x, y) >= 14 and max(x + width, y + height) < 178:  # its turned corners, too
            bright = picture > (picture.max() + picture.min()) / 2
            rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
            center = torch.tensor([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2])
            assert torch.allclose(center, torch.tensor([x + width / 2, y + height / 2]), atol=2.5)
            checked += 1
    assert checked > 5


def test_most_pictures_are_sharpened_and_flat_ones_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    edge = torch.full((400, 1, 8, 8), 50.0)
    edge[..., 4:] = 150
    seen = sharpened(edge, generator)
    steps = seen[:, 0, 4, 4] - seen[:, 0, 4, 3]
    assert 0.15 < float((steps == 100).double().mean()) < 0.35
    assert 200 < float(steps.max()) <= 100 * (1 + MOST_SHARPENED / 2)
    assert torch.equal(seen[..., 0], edge[..., 0])
    assert torch.allclose(seen[..., 2, :], seen[..., 5, :])


def test_some_pictures_are_as_jpeg_leaves_them(tiles: FaceTiles, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = cv2.resize(tiles.images[0], (96, 64))  # uint8 [64, 96]
    batch = torch.from_numpy(picture).float().expand(300, 1, -1, -1)
    changed = (compressed(batch, torch.Generator().manual_seed(0)) != batch).flatten(1).any(1)
    assert 0.4 < float(changed.double().mean()) < 0.6
    none = compressed(batch[:4], torch.Generator().manual_seed(6))  # by this seed none of four
    assert torch.equal(none, batch[:4])
    monkeypatch.setattr("fer_train.detection.augment.COMPRESSED", 1.0)
    for quality in (30, 80):
        monkeypatch.setattr("fer_train.detection.augment.QUALITY", (quality, quality))
        seen = compressed(batch[:2], torch.Generator().manual_seed(0))[1, 0].numpy()
        theirs = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0).astype(float)
        assert np.abs(seen - theirs).mean() < 0.1 * np.abs(theirs - picture).mean()


def test_mosaics_show_the_faces_where_they_say() -> None:
    """Photographs that are black but for a bright rectangle, the "face"."""
    images = np.zeros((4, 128, 128), np.uint8)
    images[:, 40:90, 50:80] = 250
    boxes = tuple(np.array([[50, 40, 30, 50, 0.9]], np.float32) for _ in images)
    maker = MosaicMaker(FaceTiles(images, boxes, np.full(4, 0.25)))
    seen = []
    for seed in range(6):
        pictures, faces = maker.make(8, 160, torch.Generator().manual_seed(seed))
        assert pictures.shape == (8, 1, 160, 160)
        for picture, rows in zip(pictures[:, 0], faces.tolist(), strict=True):
            for x, y, width, height, flag in rows:
                left, top, right, bottom = (round(v) for v in (x, y, x + width, y + height))
                if flag > 0 and min(left, top) >= 0 and max(right, bottom) <= 160:
                    inside = picture[top:bottom, left:right].mean()
                    seen.append(float(inside > picture.mean()))
    assert len(seen) > 50
    assert np.mean(seen) > 0.95


def test_drawn_tiles_show_nobody_and_depend_on_their_seed_alone(tiles: FaceTiles) -> None:
    first, again, other = (with_drawn(tiles, 30, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert first.images.shape == (len(tiles) + 30, 128, 128)
    assert all(len(faces) == 0 for faces in first.boxes[len(tiles) :])
    assert first.weights.sum() == pytest.approx(1)
    assert len({image.tobytes() for image in first.images[len(tiles) :]}) == 30


@pytest.mark.parametrize("thing", things._THINGS, ids=lambda thing: thing.__name__.strip("_"))
@pytest.mark.parametrize("at", [(64, 40), (0, 0), (127, 127), (-10, 60)])
@pytest.mark.parametrize("radius", [4, 48])
def test_things_are_drawn_anywhere(thing: Callable[..., None], at: tuple[int, int], radius: int) -> None:
    rng, picture = np.random.default_rng(0), np.full((128, 128), 90, np.uint8)
    for _ in range(5):
        thing(rng, picture, at, radius, 200)
    if min(at) >= 0 and max(at) + radius < 128:
        assert (picture[at[1] : at[1] + 2 * radius, at[0] : at[0] + 2 * radius] != 90).any()


def test_faces_upside_down_are_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.full((4, 128, 128), 90, np.uint8)
    boxes = tuple(np.array([[50, 40, 30, 50, 0.9]], np.float32) for _ in images)
    maker = MosaicMaker(FaceTiles(images, boxes, np.full(4, 0.25)))
    assert (maker.make(8, 160, torch.Generator().manual_seed(0))[1][..., 4] > 0).any()
    monkeypatch.setattr("fer_train.detection.synthesis.mosaic.UPSIDE_DOWN", 1.1)
    assert (maker.make(8, 160, torch.Generator().manual_seed(0))[1][..., 4] == 0).all()


def test_a_face_cut_at_the_border_is_ignored_and_one_outside_is_gone() -> None:
    scenes = torch.zeros(200, SCENE_PX, SCENE_PX, dtype=torch.uint8)
    faces = torch.tensor([[[0.0, 0.0, 60.0, 60.0, 1.0]]]).repeat(200, 1, 1)
    _, moved = augment(scenes, faces, 192, torch.Generator().manual_seed(1))
    assert set(moved[:, 0, 4].tolist()) == {1.0, IGNORED, 0.0}


def test_false_alarms_are_mined_by_the_first_look_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "load_tiles", lambda _folder: None)
    monkeypatch.setattr(pool, "Teacher", lambda _file: None)
    assert LumaDetector().terms.second_look is not None
    assert pool._to_alter(tmp_path, None, YUNET)[3].terms.second_look is None


def test_workers_end_with_the_process_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, sys, time\nfrom pathlib import Path\nfrom fer_train.detection.synthesis.pool import _each\n"
        f"FOLDER = Path({str(tmp_path)!r})\n"
        "def start(): (FOLDER / f'{os.getpid()}.pid').touch()\n"
        "def work(number): time.sleep(120)\n"
        "if __name__ == '__main__':\n    list(_each(work, range(4), 2, start, ()))\n"
    )
    with subprocess.Popen([sys.executable, str(script)]) as run:
        workers: list[int] = []
        deadline = time.monotonic() + 60
        while len(workers) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
        run.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(running(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.1)


def running(process: int) -> bool:
    """Whether there is such a process, and it is no zombie that nobody has asked after yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
