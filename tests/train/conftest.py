"""Synthetic faces that a network learns in seconds, as arrays, images and FER2013 CSVs."""

import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fer_edge.console import run_main
from fer_edge.opencv import cv2
from fer_train.cli import train
from fer_train.data import FER2013_CLASSES, FaceData

Row = tuple[object, str, str]  # emotion, pixels, Usage
CsvWriter = Callable[..., Path]
MERGED = "happy,neutral,other=angry+disgust+fear+sad+surprise"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: faster for small work, and results repeat bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_face(label: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw a noisy 48 x 48 face. Its class is the height of a bright bar, which mirroring does not change."""
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
        (label, pixels(make_face(label, generator)), usage) for usage in usages for label in range(len(FER2013_CLASSES))
    ]


def face_data(train: int, test: int, seed: int = 0, votes: bool = False) -> FaceData:
    """The same faces as arrays."""
    generator = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(FER2013_CLASSES)), train + test)
    usage = np.repeat(["Training", "PublicTest"], [train * len(FER2013_CLASSES), test * len(FER2013_CLASSES)])
    images = np.stack([make_face(int(label), generator) for label in labels])
    ballots = np.eye(10, dtype=np.float32)[labels] * 10 if votes else None
    return FaceData(images, labels, usage, FER2013_CLASSES, Path("faces.csv"), ballots)


@pytest.fixture
def write_csv(tmp_path: Path) -> CsvWriter:
    """A function that writes rows to a CSV file and returns its path."""

    def write(rows: Iterable[Iterable[Any]], header: str = "emotion,pixels,Usage", name: str = "faces.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    return write


def encoded(image: npt.NDArray[np.uint8], suffix: str = ".png") -> bytes:
    """`image` (uint8 [H, W] or BGR [H, W, 3]) as the bytes of an image file."""
    return cv2.imencode(suffix, image)[1].tobytes()


def write_images(root: Path, folders: Iterable[str], count: int = 5, seed: int = 0, suffix: str = ".png") -> Path:
    """`count` faces in each of `folders` below `root`, of the class with the folder's index in the list."""
    generator = np.random.default_rng(seed)
    for label, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            face = make_face(label % len(FER2013_CLASSES), generator)
            (root / folder / f"{number}{suffix}").write_bytes(encoded(face, suffix))
    return root


def run_fer_train(*arguments: object) -> int:
    """Run the command in this process, as its console script does, and return the exit code."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            run_main(train, "fer-train", [str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line on stderr, which must be the only error; stdout must be empty."""
    captured = capsys.readouterr()
    assert not captured.out
    assert "Traceback" not in captured.err
    lines = captured.err.splitlines()
    assert [line for line in lines if line.startswith("fer-train: ")] == lines[-1:]
    return lines[-1]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of edgeresnet on three merged classes of drawn faces; its data is faces.csv in it."""
    folder = tmp_path_factory.mktemp("trained")
    rows = face_rows(train=24, test=4)
    text = "\n".join(["emotion,pixels,Usage", *(",".join(map(str, row)) for row in rows)])
    (folder / "faces.csv").write_text(text + "\n")
    code = run_fer_train(
        "--data", folder / "faces.csv", "--out", folder / "run", "--classes", MERGED, "--epochs", 4,
        "--batch-size", 16, "--lr", 0.02, "--no-amp",
    )  # fmt: skip
    assert code == 0
    return folder
