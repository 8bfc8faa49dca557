"""Close-ups of FER2013's faces laid on training pictures."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_edge.errors import DataError
from fer_train.detection.synthesis import closeups, pool
from fer_train.detection.synthesis.altered_heads import FER_PX
from fer_train.detection.synthesis.closeups import CloseUps, close_ups, load_close_ups, save_close_ups
from fer_train.detection.synthesis.scenes import IGNORED

SIZE = 160
BOX = [0.5, 0.1, 0.3, 0.4]  # of the face in the close-ups here, a bright spot off the middle


def spotted(count: int = 3) -> CloseUps:
    y, x = (np.mgrid[:48, :48] + 0.5) / 48
    spot = (((x - BOX[0] - BOX[2] / 2) / BOX[2]) ** 2 + ((y - BOX[1] - BOX[3] / 2) / BOX[3]) ** 2) < 0.2
    picture = np.where(spot, 250, 90).astype(np.uint8)
    return CloseUps(np.repeat(picture[None], count, 0), np.array([BOX] * count, np.float32), np.ones(count))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close-ups on all pictures, as they are, whole and upright."""
    for name, value in {"SHARE": 1.1, "GAIN": 0, "OFFSET": 0, "DARKENED": 0, "PARTS": 0, "UPSIDE_DOWN": 0}.items():
        monkeypatch.setattr(closeups, name, value)


def lay(pictures: Tensor, faces: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    none = torch.zeros(len(pictures), 1, 5)
    return spotted().lay(pictures, none if faces is None else faces, torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("plain")
def test_faces_are_where_the_pictures_show_them() -> None:
    before = torch.zeros(24, 1, SIZE, SIZE)
    pictures, faces = lay(before)
    assert not before.any()
    found = faces[faces[..., 4] > 0]
    assert len(found) > 20
    bright = 0
    for picture, rows in zip(pictures[:, 0], faces, strict=True):
        for x, y, width, height, _ in rows[rows[:, 4] > 0].tolist():
            at = min(max(int(y + height / 2), 0), SIZE - 1), min(max(int(x + width / 2), 0), SIZE - 1)
            bright += int(picture[at] > 150)
    assert bright > 0.9 * len(found)  # the rest is in part under others


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("turn", [0.0, 0.2, -2.0])
@pytest.mark.parametrize("side", [20, 37, 80])
def test_boxes_turn_and_are_mirrored_with_their_pictures(side: int, turn: float, mirror: float) -> None:
    some, row = spotted(1), torch.zeros(1, dtype=torch.long)
    sides, turns, mirrors, one = (torch.tensor([value]) for value in (float(side), turn, mirror, 1.0))
    seen = some._seen(row, sides, one, turns, mirrors, torch.zeros(1, 2), one, 90)[0, :side, :side] - 90
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    bright = seen.clamp(min=40) - 40
    wanted = [float((bright * at).sum() / bright.sum()) for at in (x, y)]
    (face,) = some._moved(row[None], sides[None], turns[None], mirrors[None], torch.zeros(1, 1, 2))[0]
    assert [float(face[0] + face[2] / 2), float(face[1] + face[3] / 2)] == pytest.approx(wanted, abs=0.3)


@pytest.mark.usefixtures("plain")
def test_some_are_mirrored_and_turned() -> None:
    """By where the spot is in its square, which is at BOX if neither."""
    close_ups, places = spotted(), set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(close_ups, "_moved", lambda rows, side, turn, mirror, low: places.update(
            zip(mirror.flatten().tolist(), turn.flatten().tolist(), strict=True)
        ) or CloseUps._moved(close_ups, rows, side, turn, mirror, low))  # fmt: skip
        close_ups.lay(torch.zeros(2, 1, SIZE, SIZE), torch.zeros(2, 1, 5), torch.Generator().manual_seed(0))
    assert {mirror for mirror, _ in places} == {1.0, -1.0}
    assert len({turn for _, turn in places}) > 10


@pytest.mark.usefixtures("plain")
def test_what_has_no_chance_is_not_laid() -> None:
    images = np.stack([np.full((48, 48), gray, np.uint8) for gray in (50, 150, 250)])
    some = CloseUps(images, np.array([BOX] * 3, np.float32), np.array([1e-9, 1.0, 1e-9]))
    pictures, _ = some.lay(
        torch.full((4, 1, SIZE, SIZE), 150.0), torch.zeros(4, 1, 5), torch.Generator().manual_seed(0)
    )
    assert pictures.sub(150).abs().max() < 0.01


@pytest.mark.usefixtures("plain")
def test_faces_under_later_close_ups_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIDE_PX": (70.0, 80.0), "COVERING": (3.0, 3.0)}.items():
        monkeypatch.setattr(closeups, name, value)
    _, faces = lay(torch.zeros(6, 1, SIZE, SIZE))
    flags = faces[:, 1:, 4]  # in the order in which they were laid
    assert (flags > 0).float()[:, :4].mean() < 0.5 < (flags[:, -1] != 0).float().mean()


def test_what_is_half_outside_and_part_hidden_is_ignored() -> None:
    face = torch.tensor(
        [[[-10.0, 0.0, 40.0, 40.0, 1.0], [60.0, 60.0, 40.0, 40.0, 1.0], [-10.0, 80.0, 40.0, 40.0, 1.0]]]
    )
    squares = torch.tensor([[[0.0, 0.0, 12.0, 40.0], [60.0, 60.0, 12.0, 40.0]]])
    hidden = closeups._hidden(face, closeups._shares(face, squares, SIZE), SIZE)
    assert hidden[0, :, 4].tolist() == [IGNORED, 1.0, 1.0]
    twice = closeups._hidden(face, closeups._shares(face, squares.repeat(1, 4, 1), SIZE), SIZE)
    assert twice[0, :, 4].tolist() == [0.0, 0.0, 1.0]


def test_they_depend_on_the_seed_alone() -> None:
    pictures = torch.full((6, 1, SIZE, SIZE), 100.0)
    one, again, other = (lay(pictures, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])


def test_pictures_without_close_ups_stay_and_so_do_their_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closeups, "SHARE", 0.0)
    pictures, face = torch.rand(4, 1, SIZE, SIZE) * 255, torch.tensor([[[10.0, 10.0, 40.0, 50.0, 0.7]]] * 4)
    after, faces = lay(pictures, face)
    assert torch.equal(after, pictures)
    assert torch.equal(faces[:, :1], face)
    assert not faces[:, 1:, 4].any()


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("chosen", ["PARTS", "UPSIDE_DOWN"])
def test_parts_and_faces_upside_down_are_nobody(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setattr(closeups, chosen, 1.1)
    pictures, faces = lay(torch.zeros(4, 1, SIZE, SIZE))
    assert (pictures.amax((1, 2, 3)) > 0).all()
    assert not faces[..., 4].any()


@pytest.mark.usefixtures("plain")
def test_what_is_under_a_close_up_is_no_face_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small faces all over the pictures: those that are changed wholly are gone, those that are not changed stay."""
    monkeypatch.setattr(closeups, "SIDE_PX", (48.0, 64.0))
    low = torch.arange(0, SIZE, 16.0)
    corner = torch.stack(torch.meshgrid(low, low, indexing="xy"), dim=2).view(-1, 2)
    small = torch.cat([corner, torch.full_like(corner, 16), torch.ones(len(corner), 1)], dim=1).expand(4, -1, -1)
    pictures, faces = lay(torch.zeros(4, 1, SIZE, SIZE), small)
    flags = faces[:, : len(corner), 4]
    changed = (pictures[:, 0] > 40).float().unfold(1, 16, 16).unfold(2, 16, 16).mean((3, 4)).view(4, -1)
    assert set(flags.unique().tolist()) == {0.0, IGNORED, 1.0}
    assert (flags[changed == 0] != 0).all()
    assert (flags[changed == 1] <= 0).all()
    assert changed[flags == 1].mean() < 0.1 < 0.5 < changed[flags == 0].mean()


@dataclass
class Seeing:
    """A teacher that is so sure of a face in the middle of every picture but black ones."""

    sure: float = 0.9

    def surest(self, picture: np.ndarray) -> np.ndarray | None:
        if not picture.any() or picture[picture.shape[0] // 2, picture.shape[1] // 2] == 0:
            return None
        margin = (picture.shape[0] - FER_PX) / 2
        row = np.zeros(15, np.float32)
        row[:4], row[14] = [margin + FER_PX / 4, margin + FER_PX / 4, FER_PX / 2, FER_PX / 2], self.sure
        return row


class Judging:
    """A detector that sees bright faces alone, 16 px in the middle of their 32."""

    def search(self, gray: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        assert threshold < 0.1
        y, x = (32.0 * at + 16 for at in np.nonzero(gray[16::32, 16::32] > 200))
        boxes = np.stack([x - 8, y - 8, x + 8, y + 8], axis=1).astype(np.float32)
        return boxes, np.full(len(boxes), 0.8, np.float32)


def test_close_ups_are_what_the_teacher_sees_and_hard_ones_come_more_often() -> None:
    pictures = np.stack([np.full((48, 48), gray, np.uint8) for gray in (0, 250, 100)])
    made = close_ups(pictures, Seeing(), Judging())  # type: ignore[arg-type]
    assert made is not None
    assert [picture[0, 0] for picture in made.images] == [250, 100]
    assert made.boxes.tolist() == [[0.25, 0.25, 0.5, 0.5]] * 2
    assert made.weights == pytest.approx([0.1 + 1 - 0.8, 0.1 + 1])
    assert close_ups(pictures, Seeing(0.2), Judging()) is None  # type: ignore[arg-type]
    many = close_ups(np.tile(pictures, (60, 1, 1)), Seeing(), Judging())  # type: ignore[arg-type]
    assert many is not None
    assert many.weights == pytest.approx([0.3, 1.1] * 60)


def test_a_pool_gets_close_ups_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.stack([np.full((48, 48), gray, np.uint8) for gray in (0, 250, 100, 60)])
    monkeypatch.setattr(pool, "PARTS", 2)
    monkeypatch.setattr(pool, "_to_lay", lambda *_: (pictures, Seeing(), Judging()))
    here, parts = Path(), list[int]()
    assert pool.close_ups_of(tmp_path) is None
    pool.make_close_ups(tmp_path, here, here, 1, parts.append)
    made = pool.close_ups_of(tmp_path)
    assert made is not None
    assert [picture[0, 0] for picture in made.images] == [250, 100, 60]
    monkeypatch.setattr(pool, "_to_lay", None)  # asked the first time only
    pool.make_close_ups(tmp_path, here, here, 1, parts.append)
    assert parts == [0, 1, 0, 1]


def test_a_file_without_any_face_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.zeros((4, 48, 48), np.uint8)
    monkeypatch.setattr(pool, "_to_lay", lambda *_: (pictures, Seeing(), Judging()))
    with pytest.raises(DataError, match=r"no face in any Training picture of f\.csv"):
        pool.make_close_ups(tmp_path, Path("f.csv"), Path(), 1, lambda _part: None)
    assert not list(tmp_path.iterdir())


def test_workers_hand_over_no_more_than_the_arrays() -> None:
    some = spotted(2)
    some.lay(torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 1, 5), torch.Generator())
    assert len(pickle.dumps(spotted(2))) < 2 * 48 * 48 + 2000
    assert len(pickle.loads(pickle.dumps(some))) == 2


def test_close_ups_are_saved_and_read(tmp_path: Path) -> None:
    save_close_ups([spotted(2), None, spotted(1)], tmp_path / "c.npz")
    again = load_close_ups(tmp_path / "c.npz")
    assert len(again) == 3
    assert np.array_equal(again.images[0], spotted(1).images[0])
    assert again.boxes.dtype == np.float32


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        None,
        {"images": np.zeros((2, 48, 48))},
        {"images": np.zeros((0, 48, 48)), "boxes": np.zeros((0, 4)), "chances": np.zeros(0)},
        {"images": np.zeros((2, 4, 4)), "boxes": np.zeros((2, 4)), "chances": np.ones(2)},
        {"images": np.zeros((2, 48, 48)), "boxes": np.zeros((2, 4)), "chances": np.zeros(2)},
    ],
)
def test_close_ups_that_are_none_are_refused(tmp_path: Path, content: bytes | dict[str, np.ndarray] | None) -> None:
    file = tmp_path / "c.npz"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        np.savez(file, **content)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="fer-train scenes"):
        load_close_ups(file)
