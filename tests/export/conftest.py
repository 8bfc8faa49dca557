"""What exports are tested on: drawn faces, a checkpoint that classifies them, and one finished export."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
import torch

from fer_edge.console import run_main
from fer_export.classifier import ClassifierExportOptions
from fer_export.cli import export
from fer_export.graph.classifier import classifier_to_onnx, trace_classifier
from fer_export.graph.onnx_file import copied
from fer_export.int8.calibration import calibrated_ranges, collect_histograms
from fer_export.int8.faces import choose_faces
from fer_export.int8.quantize import quantize
from fer_train.data import FER2013_CLASSES, FaceData, load_faces
from fer_train.networks import Network, build_network
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.heads import Head
from fer_train.networks.normalization import normalize

TRAINING_FACES, TEST_FACES = 120, 6  # per class; enough to calibrate on, and to choose a calibrator on
FEW_DISGUST = 5
SHARPNESS = 4.0  # of the logits; float rounding grows with them, on some processors past the parity bound at 8


def draw_faces(labels: np.ndarray, seed: int) -> np.ndarray:
    """Faces uint8 [N, 48, 48]: a coarse pattern per class, and noise per face."""
    patterns = np.random.default_rng(7).integers(40, 216, (len(FER2013_CLASSES), 6, 6))
    noise = np.random.default_rng(seed).integers(-25, 26, (len(labels), 48, 48))
    return (np.kron(patterns[labels], np.ones((8, 8), dtype=np.int64)) + noise).astype(np.uint8)


def write_faces(path: Path, splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """A FER2013 CSV of {usage: (labels, images)}."""
    lines = ["emotion,pixels,Usage"]
    for usage, (labels, images) in splits.items():
        lines += [
            f"{label},{' '.join(map(str, image.ravel()))},{usage}" for label, image in zip(labels, images, strict=True)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def write_csv() -> Callable[..., Path]:
    return write_faces


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: small work is slower on many."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def faces_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and PublicTest faces of seven classes, few of them disgust; one test face is in training, too."""
    counts = [TRAINING_FACES] * len(FER2013_CLASSES)
    counts[FER2013_CLASSES.index("disgust")] = FEW_DISGUST
    training = np.repeat(np.arange(len(counts)), counts)
    test = np.repeat(np.arange(len(counts)), TEST_FACES)
    training_images, test_images = draw_faces(training, 1), draw_faces(test, 2)
    test_images[0] = training_images[0]
    path = tmp_path_factory.mktemp("data") / "faces.csv"
    return write_faces(path, {"Training": (training, training_images), "PublicTest": (test, test_images)})


@pytest.fixture(scope="session")
def faces(faces_csv: Path) -> FaceData:
    return load_faces(faces_csv)


@pytest.fixture(scope="session")
def make_checkpoint(faces: FaceData) -> Callable[[str], Checkpoint]:
    """Build a checkpoint of a named network: seeded random layers under a readout fitted to the drawn faces.

    Its answers are as clear-cut as a trained network's, without any training.
    """

    def make(name: str) -> Checkpoint:
        torch.manual_seed(3)
        network = build_network(name, len(FER2013_CLASSES))
        some = faces.rows(np.arange(len(faces)) % 4 == 0)
        batch = normalize(torch.from_numpy(some.images))
        with torch.no_grad():
            network.train()
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = None  # statistics of all batches seen
            network.forward_features(batch)
            network.eval()
            features = network.forward_features(batch)
            mean, spread = features.mean(0), features.std(0) + 1e-3
            targets = torch.nn.functional.one_hot(torch.from_numpy(some.labels), 7).float()
            scaled = (features - mean) / spread
            ridge = 0.1 * len(scaled) * torch.eye(scaled.shape[1])
            weights = (
                torch.linalg.solve(scaled.T @ scaled + ridge, scaled.T @ (targets - targets.mean(0))) / spread[:, None]
            )
            network.classifier.weight.copy_(SHARPNESS * weights.T)
            network.classifier.bias.copy_(SHARPNESS * (targets.mean(0) - mean @ weights))
        head = Head("faces", FER2013_CLASSES, temperature=1.25, dataset="faces.csv")
        return Checkpoint(name, (head,), network.state_dict())

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Callable[[str], Checkpoint]) -> Checkpoint:
    return make_checkpoint("edgeresnet-small")  # for speed; all edgeresnets are built of the same layers


@pytest.fixture(scope="session")
def checkpoint_file(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best.pt"
    save_checkpoint(checkpoint, path)
    return path


@pytest.fixture(scope="session")
def network(checkpoint: Checkpoint) -> Network:
    return checkpoint.network()


@pytest.fixture(scope="session")
def traced(network: Network, checkpoint: Checkpoint) -> onnx.ModelProto:
    """The network as torch exports it, with float input. Copy it before changing it."""
    return trace_classifier(network, checkpoint)


@pytest.fixture(scope="session")
def fp32(network: Network, checkpoint: Checkpoint, traced: onnx.ModelProto) -> onnx.ModelProto:
    """The converted network. Copy it before changing it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "fer_export.graph.classifier.trace_classifier", lambda *_: copied(traced)
        )  # tracing takes seconds
        return classifier_to_onnx(network, checkpoint)


@pytest.fixture(scope="session")
def int8(fp32: onnx.ModelProto, faces: FaceData) -> onnx.ModelProto:
    """The quantized network. Copy it before changing it."""
    chosen, _, _ = choose_faces(faces, 64, 0, seed=0)
    return quantize(fp32, calibrated_ranges(collect_histograms(fp32, chosen.images), "minmax"))


@dataclass(frozen=True)
class Result:
    """How a run of fer-export ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def run_command(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Result]]:
    """Run a command by its program name in this process, as its console script would."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(command: click.Command, prog_name: str, *arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_main(command, prog_name, [str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, captured.out, captured.err)

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def fer_export(run_command: Callable[..., Result]) -> Callable[..., Result]:
    """Run fer-export in this process."""
    return partial(run_command, export, "fer-export")


def run_in_own_process(*arguments: object, cwd: Path) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "fer_export.cli", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"},  # another seed, and one thread for speed
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def fer_export_process() -> Callable[..., Result]:
    return run_in_own_process


@dataclass(frozen=True)
class Finished:
    """A finished export: the folder with m.onnx, m.int8.onnx and m.export.json."""

    folder: Path
    result: Result

    @property
    def report(self) -> dict:
        return json.loads((self.folder / "m.export.json").read_text())


@pytest.fixture(scope="session")
def finished(checkpoint_file: Path, faces_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A whole quantized export, in its own process."""
    folder = tmp_path_factory.mktemp("finished")
    result = run_in_own_process(
        checkpoint_file, "--out", "m.onnx", "--quantize", "--calibration-data", faces_csv, cwd=folder
    )
    assert result.code == 0, result.stderr
    return Finished(folder, result)


@pytest.fixture
def options(checkpoint_file: Path, faces_csv: Path, tmp_path: Path) -> ClassifierExportOptions:
    """Options of the same export, into the test's own folder."""
    return ClassifierExportOptions(checkpoint=checkpoint_file, out=tmp_path / "m.onnx", quantize=True, data=faces_csv)


@pytest.fixture
def quick(options: ClassifierExportOptions, monkeypatch: pytest.MonkeyPatch) -> ClassifierExportOptions:
    """Options of an export that calibrates on few faces and tries one calibrator."""
    monkeypatch.setattr("fer_export.classifier.TUNING_IMAGES", 0)
    return replace(options, calibration_images=64)


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time fewer rounds, except in other processes."""
    monkeypatch.setattr("fer_export.checks.measure.LATENCY_ROUNDS", 6)


@pytest.fixture
def ready_conversion(fp32: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an export take the converted network from the fixture, which saves seconds."""
    monkeypatch.setattr("fer_export.classifier.classifier_to_onnx", lambda *_: copied(fp32))
