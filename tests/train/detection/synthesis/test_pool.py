import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError
from fer_train.commands.scenes import SHARD_SIZE
from fer_train.detection.synthesis import pool
from fer_train.detection.synthesis.closeups import CloseUps
from fer_train.detection.synthesis.pool import PoolInputs
from fer_train.detection.synthesis.scenes import MAX_FACES, SCENE_PX

NO_FILE = Path("yunet.onnx")
MakeTeacher = Callable[..., Any]


def none_made() -> None:
    """To be called for each part that is done."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, teacher: MakeTeacher) -> None:
    """Shards, parts and sheets of a few, and a teacher that sees one face in the middle of everything."""
    for name, value in {"SHARD_SIZE": 3, "DRAWN_TILES": 20, "PARTS": 2, "SHEETS_PER_PART": 2}.items():
        monkeypatch.setattr(pool, name, value)
    monkeypatch.setattr(pool, "Teacher", lambda _file: teacher([[40, 30, 40, 60, 0.9]]))


@pytest.mark.usefixtures("small")
def test_a_pool_is_made_once_and_read_whole(tile_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, parts, shards = PoolInputs(tile_folder, None, NO_FILE), list[None](), list[None]()
    pool.alter_heads(tmp_path, inputs, 1, lambda: parts.append(None))
    with monkeypatch.context() as existing:
        existing.setattr(pool, "Teacher", None)  # needed the first time only
        pool.alter_heads(tmp_path, inputs, 1, lambda: parts.append(None))
    assert len(parts) == 4
    assert pool.make_pool(tmp_path, 2, inputs, 1, lambda: shards.append(None)) == 2
    first = (tmp_path / "scenes_000.npy").read_bytes()
    (tmp_path / "faces_001.npy").unlink()  # as after an interruption
    assert pool.make_pool(tmp_path, 2, inputs, 1, lambda: shards.append(None)) == 1
    assert len(shards) == 4
    assert (tmp_path / "scenes_000.npy").read_bytes() == first
    scenes, faces = pool.load_pool(tmp_path, torch.device("cpu"))
    assert scenes.shape == (6, SCENE_PX, SCENE_PX)
    assert faces.shape == (6, MAX_FACES, 5)
    assert (faces[..., 4] != 0).any()
    mosaics, their_faces = pool.load_pool(tmp_path, torch.device("cpu"), mosaics_only=True)
    places = [1, 2, 4, 5]  # of each three the second half, rounded up
    assert torch.equal(mosaics, scenes[places])
    assert torch.equal(their_faces, faces[places])


def test_the_commands_shard_size_is_the_pools() -> None:
    assert SHARD_SIZE == pool.SHARD_SIZE


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("make", ["alter_heads", "make_pool"])
def test_wrong_photos_are_reported_before_workers_start(make: str, tmp_path: Path) -> None:
    out, inputs = tmp_path / "pool", PoolInputs(tmp_path, None, NO_FILE)
    with pytest.raises(DataError, match=r"no boxes\.csv"):
        if make == "make_pool":
            pool.make_pool(out, 1, inputs, 2, none_made)
        else:
            pool.alter_heads(out, inputs, 2, none_made)
    assert not out.exists()


def test_a_damaged_file_of_altered_heads_is_reported_before_workers_start(tmp_path: Path) -> None:
    (tmp_path / pool.ALTERED).write_bytes(b"text")
    with pytest.raises(DataError, match="older"):
        pool.alter_heads(tmp_path, PoolInputs(tmp_path, None, NO_FILE), 2, none_made)


def test_a_folder_without_scenes_is_refused(tmp_path: Path) -> None:
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
    monkeypatch.setattr(pool, "SHARD_SIZE", 4)
    np.save(tmp_path / "scenes_000.npy", np.zeros((count, SCENE_PX, SCENE_PX), np.uint8))
    np.save(tmp_path / "faces_000.npy", np.zeros((count, MAX_FACES, 5), np.float32))
    with pytest.raises(DataError, match="damaged"):
        pool.load_pool(tmp_path, torch.device("cpu"), mosaics_only)


def test_hard_negatives_are_mined_by_the_first_look_alone() -> None:
    assert LumaDetector().terms.second_look is not None
    assert pool.shipped_detector().terms.second_look is None


class JudgingDetector:
    """Sees only bright faces, 16 px in the middle of their 32."""

    def search(self, gray: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        assert threshold < 0.1
        y, x = (32.0 * at + 16 for at in np.nonzero(gray[16::32, 16::32] > 200))
        boxes = np.stack([x - 8, y - 8, x + 8, y + 8], axis=1).astype(np.float32)
        return boxes, np.full(len(boxes), 0.8, np.float32)


def bright_middle(image: np.ndarray) -> np.ndarray | None:
    """A teacher's best face, in the middle of every image that is not black."""
    if not image[image.shape[0] // 2, image.shape[1] // 2]:
        return None
    return np.array([32 + 24, 32 + 24, 48, 48, *[0] * 10, 0.9], np.float32)


@pytest.fixture
def fer(monkeypatch: pytest.MonkeyPatch, teacher: MakeTeacher) -> Callable[[list[int]], PoolInputs]:
    """fer(grays): inputs whose FER2013 holds a plain image of each gray."""

    def inputs(grays: list[int]) -> PoolInputs:
        images = np.stack([np.full((48, 48), gray, np.uint8) for gray in grays])
        monkeypatch.setattr(pool, "PARTS", 2)
        monkeypatch.setattr(pool, "load_tiles", lambda _folder: None)
        monkeypatch.setattr(pool, "load_fer_faces", lambda _file: images)
        monkeypatch.setattr(pool, "Teacher", lambda _file: teacher((), bright_middle))
        monkeypatch.setattr(pool, "shipped_detector", JudgingDetector)
        return PoolInputs(Path(), Path("f.csv"), NO_FILE)

    return inputs


def test_a_pool_gets_close_ups_once(
    fer: Callable[[list[int]], PoolInputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, parts = fer([0, 250, 100, 60]), list[None]()
    assert pool.close_ups_of(tmp_path) is None
    pool.find_close_ups(tmp_path, inputs, 1, lambda: parts.append(None))
    made = pool.close_ups_of(tmp_path)
    assert isinstance(made, CloseUps)
    assert [image[0, 0] for image in made.images] == [250, 100, 60]
    monkeypatch.setattr(pool, "load_fer_faces", None)  # needed the first time only
    pool.find_close_ups(tmp_path, inputs, 1, lambda: parts.append(None))
    assert len(parts) == 4


def test_a_file_without_any_face_is_reported_and_leaves_nothing(
    fer: Callable[[list[int]], PoolInputs], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no face in any Training image of f\.csv"):
        pool.find_close_ups(tmp_path, fer([0, 0, 0, 0]), 1, none_made)
    assert not list(tmp_path.iterdir())


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import os, time\nfrom pathlib import Path\nfrom fer_train.detection.synthesis.workers import run_numbered\n"
        f"FOLDER = Path({str(tmp_path)!r})\n"
        "def load(): (FOLDER / f'{os.getpid()}.pid').touch()\n"
        "def work(_loaded, number): time.sleep(120)\n"
        "if __name__ == '__main__':\n    list(run_numbered(load, work, range(4), 2))\n"
    )
    with subprocess.Popen([sys.executable, str(script)]) as run:
        workers: list[int] = []
        deadline = time.monotonic() + 60
        while len(workers) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
            workers = [pid for path in tmp_path.glob("*.pid") if (pid := int(path.stem)) != run.pid]
        run.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 30
    while any(running(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)


def running(process: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
