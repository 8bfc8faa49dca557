"""Synthetic faces that a network can tell apart in seconds, as arrays and as FER2013 CSVs."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fer_train.data import FER2013_CLASSES, FaceData

Row = tuple[object, str, str]  # emotion, pixels, Usage
CsvWriter = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small work is slower on many threads, and only a fixed number repeats bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_face(label: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A noisy 48 x 48 face whose class is the height of a bright bar, which no mirroring changes."""
    face = generator.integers(60, 120, (48, 48))
    face[3 + 6 * label : 7 + 6 * label, 8:40] = generator.integers(200, 256)
    return face.astype(np.uint8)


def pixels(face: npt.NDArray[np.uint8]) -> str:
    """A face as a cell of the `pixels` column."""
    return " ".join(map(str, face.ravel()))


def face_rows(train: int, test: int, seed: int = 0) -> list[Row]:
    """Rows with `train` Training and `test` PublicTest faces of each class."""
    generator = np.random.default_rng(seed)
    usages = ["Training"] * train + ["PublicTest"] * test
    return [
        (label, pixels(make_face(label, generator)), usage)
        for usage in usages
        for label in range(len(FER2013_CLASSES))
    ]  # fmt: skip


def face_data(train: int, test: int, seed: int = 0, votes: bool = False) -> FaceData:
    """The same as arrays, without a file."""
    generator = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(FER2013_CLASSES)), train + test)
    usage = np.repeat(["Training", "PublicTest"], [train * len(FER2013_CLASSES), test * len(FER2013_CLASSES)])
    images = np.stack([make_face(int(label), generator) for label in labels])
    ballots = np.eye(10, dtype=np.float32)[labels] * 10 if votes else None
    return FaceData(images, labels, usage, FER2013_CLASSES, Path("faces.csv"), ballots)


@pytest.fixture
def write_csv(tmp_path: Path) -> CsvWriter:
    """write_csv(rows, header="emotion,pixels,Usage", name="faces.csv") gives the file's path."""

    def write(rows: Iterable[Iterable[Any]], header: str = "emotion,pixels,Usage", name: str = "faces.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    return write
