"""Close-ups of FER2013's faces, pasted on training images."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fer_edge.errors import DataError
from fer_train.detection.synthesis import closeups
from fer_train.detection.synthesis.batches import Views
from fer_train.detection.synthesis.closeups import CloseUps, load_close_ups, make_close_ups, save_close_ups
from fer_train.detection.synthesis.scenes import IGNORED

SIZE = 160
BOX = [0.5, 0.1, 0.3, 0.4]  # of the face in the close-ups here, a bright spot off the middle


def spotted(count: int = 3) -> CloseUps:
    y, x = (np.mgrid[:48, :48] + 0.5) / 48
    spot = (((x - BOX[0] - BOX[2] / 2) / BOX[2]) ** 2 + ((y - BOX[1] - BOX[3] / 2) / BOX[3]) ** 2) < 0.2
    image = np.where(spot, 250, 90).astype(np.uint8)
    return CloseUps(np.repeat(image[None], count, 0), np.array([BOX] * count, np.float32), np.ones(count))


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close-ups on all images, in their own light, whole and upright."""
    light = (0.0, 0.0, (0.0, 1.0, 1.0))
    for name, value in {"SHARE": 1.1, "LIGHT": light, "PARTS": 0, "UPSIDE_DOWN": 0}.items():
        monkeypatch.setattr(closeups, name, value)


def paste(images: Tensor, faces: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    none = torch.zeros(len(images), 1, 5)
    return spotted().paste(images, none if faces is None else faces, torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("plain")
def test_faces_are_where_the_images_show_them() -> None:
    before = torch.zeros(24, 1, SIZE, SIZE)
    images, faces = paste(before)
    assert not before.any()
    found = faces[faces[..., 4] > 0]
    assert len(found) > 20
    bright = 0
    for image, rows in zip(images[:, 0], faces, strict=True):
        for x, y, width, height, _ in rows[rows[:, 4] > 0].tolist():
            at = min(max(int(y + height / 2), 0), SIZE - 1), min(max(int(x + width / 2), 0), SIZE - 1)
            bright += int(image[at] > 150)
    assert bright > 0.9 * len(found)  # the others are partly covered


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("turn", [0.0, 0.2, -2.0])
@pytest.mark.parametrize("side", [20, 37, 80])
def test_boxes_turn_and_mirror_with_their_images(side: int, turn: float, mirror: float) -> None:
    some, row = spotted(1), torch.zeros(2, dtype=torch.long)
    views = Views(*(torch.full((2,), value) for value in (turn, mirror, 1.0)), torch.zeros(2, 2))
    sides = torch.tensor([float(side), 90.0])  # the first lies in the corner of a larger array
    shown = views.render(some._levels, row, sides, torch.ones(2), "reflection")
    assert shown.shape == (2, 90, 90)
    bright = shown[0, :side, :side].sub(90).clamp(min=40) - 40
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    wanted = [float((bright * at).sum() / bright.sum()) for at in (x, y)]
    left, top, width, height = views.move(some._boxes[row][:, None], sides)[0, 0].tolist()
    assert [left + width / 2, top + height / 2] == pytest.approx(wanted, abs=0.3)


@pytest.mark.usefixtures("plain")
def test_close_ups_are_mirrored_and_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Views] = []
    move = Views.move
    monkeypatch.setattr(Views, "move", lambda self, boxes, side: given.append(self) or move(self, boxes, side))
    paste(torch.zeros(2, 1, SIZE, SIZE))
    (views,) = given
    assert set(views.mirror.tolist()) == {1.0, -1.0}
    assert len(set(views.turn.tolist())) > 10


@pytest.mark.usefixtures("plain")
def test_close_ups_without_weight_are_not_pasted() -> None:
    images = np.stack([np.full((48, 48), gray, np.uint8) for gray in (50, 150, 250)])
    some = CloseUps(images, np.array([BOX] * 3, np.float32), np.array([1e-9, 1.0, 1e-9]))
    images, _ = some.paste(
        torch.full((4, 1, SIZE, SIZE), 150.0), torch.zeros(4, 1, 5), torch.Generator().manual_seed(0)
    )
    assert images.sub(150).abs().max() < 0.01


@pytest.mark.usefixtures("plain")
def test_faces_under_later_close_ups_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIDE_PX": (70.0, 80.0), "COVERING": (3.0, 3.0)}.items():
        monkeypatch.setattr(closeups, name, value)
    _, faces = paste(torch.zeros(6, 1, SIZE, SIZE))
    flags = faces[:, 1:, 4]  # in the order of pasting
    assert (flags > 0).float()[:, :4].mean() < 0.5 < (flags[:, -1] != 0).float().mean()


def test_faces_half_outside_and_partly_covered_are_ignored() -> None:
    face = torch.tensor(
        [[[-10.0, 0.0, 40.0, 40.0, 1.0], [60.0, 60.0, 40.0, 40.0, 1.0], [-10.0, 80.0, 40.0, 40.0, 1.0]]]
    )
    squares = torch.tensor([[[0.0, 0.0, 12.0, 40.0], [60.0, 60.0, 12.0, 40.0]]])
    hidden = closeups._flag_covered(face, closeups._covered_shares(face, squares, SIZE), SIZE)
    assert hidden[0, :, 4].tolist() == [IGNORED, 1.0, 1.0]
    twice = closeups._flag_covered(face, closeups._covered_shares(face, squares.repeat(1, 4, 1), SIZE), SIZE)
    assert twice[0, :, 4].tolist() == [0.0, 0.0, 1.0]


def test_pasting_depends_only_on_the_seed() -> None:
    images = torch.full((6, 1, SIZE, SIZE), 100.0)
    one, again, other = (paste(images, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])


def test_images_without_close_ups_and_their_faces_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closeups, "SHARE", 0.0)
    images, face = torch.rand(4, 1, SIZE, SIZE) * 255, torch.tensor([[[10.0, 10.0, 40.0, 50.0, 0.7]]] * 4)
    after, faces = paste(images, face)
    assert torch.equal(after, images)
    assert torch.equal(faces[:, :1], face)
    assert not faces[:, 1:, 4].any()


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("chosen", ["PARTS", "UPSIDE_DOWN"])
def test_parts_and_faces_upside_down_are_background(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setattr(closeups, chosen, 1.1)
    images, faces = paste(torch.zeros(4, 1, SIZE, SIZE))
    assert (images.amax((1, 2, 3)) > 0).all()
    assert not faces[..., 4].any()


@pytest.mark.usefixtures("plain")
def test_faces_under_a_close_up_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small faces all over: wholly covered ones are dropped, uncovered ones stay."""
    monkeypatch.setattr(closeups, "SIDE_PX", (48.0, 64.0))
    low = torch.arange(0, SIZE, 16.0)
    corner = torch.stack(torch.meshgrid(low, low, indexing="xy"), dim=2).view(-1, 2)
    small = torch.cat([corner, torch.full_like(corner, 16), torch.ones(len(corner), 1)], dim=1).expand(4, -1, -1)
    images, faces = paste(torch.zeros(4, 1, SIZE, SIZE), small)
    flags = faces[:, : len(corner), 4]
    changed = (images[:, 0] > 40).float().unfold(1, 16, 16).unfold(2, 16, 16).mean((3, 4)).view(4, -1)
    assert set(flags.unique().tolist()) == {0.0, IGNORED, 1.0}
    assert (flags[changed == 0] != 0).all()
    assert (flags[changed == 1] <= 0).all()
    assert changed[flags == 1].mean() < 0.1 < 0.5 < changed[flags == 0].mean()


class JudgingDetector:
    """Sees only bright faces, 16 px in the middle of their 32."""

    def search(self, gray: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        assert threshold < 0.1
        y, x = (32.0 * at + 16 for at in np.nonzero(gray[16::32, 16::32] > 200))
        boxes = np.stack([x - 8, y - 8, x + 8, y + 8], axis=1).astype(np.float32)
        return boxes, np.full(len(boxes), 0.8, np.float32)


def test_close_ups_are_what_the_teacher_detects_and_hard_ones_weigh_more(teacher: Callable[..., Any]) -> None:
    def make(images: np.ndarray, score: float = 0.9) -> CloseUps | None:
        def best(image: np.ndarray) -> np.ndarray | None:
            """A face in the middle of every image that is not black."""
            middle = image[image.shape[0] // 2, image.shape[1] // 2]
            return np.array([32 + 24, 32 + 24, 48, 48, *[0] * 10, score], np.float32) if middle else None

        return make_close_ups(images, teacher((), best), JudgingDetector())  # type: ignore[arg-type]

    images = np.stack([np.full((48, 48), gray, np.uint8) for gray in (0, 250, 100)])
    made = make(images)
    assert made is not None
    assert [image[0, 0] for image in made.images] == [250, 100]
    assert made.boxes.tolist() == [[0.25, 0.25, 0.5, 0.5]] * 2
    assert made.weights == pytest.approx([0.1 + 1 - 0.8, 0.1 + 1])
    assert make(images, 0.2) is None
    many = make(np.tile(images, (60, 1, 1)))  # more than a sheet
    assert many is not None
    assert many.weights == pytest.approx([0.3, 1.1] * 60)


def test_processes_exchange_only_the_arrays() -> None:
    some = spotted(2)
    some.paste(torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 1, 5), torch.Generator())
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
def test_other_files_are_refused(tmp_path: Path, content: bytes | dict[str, np.ndarray] | None) -> None:
    file = tmp_path / "c.npz"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        np.savez(file, **content)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="fer-train scenes"):
        load_close_ups(file)
