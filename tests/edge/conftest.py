"""A tiny emotion network, fakes for the pipeline's stages, and images: no test here needs a file from outside."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from fer_edge.demo.scene import draw_scene
from fer_edge.detectors.base import Detection
from fer_edge.framing import Framing, Image
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import METADATA_KEY, Contract, DetectorContract, Head
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import Face, FrameResult
from fer_edge.sources.base import Source, SourceFrame

settings.register_profile("no deadline", deadline=None)  # tests may run on a busy machine
settings.load_profile("no deadline")

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
CONTRACT = Contract(kind="classifier", labels=LABELS, input_size=(48, 48), color="grey", dataset="none")


HEADS = (
    Head("people", "people", LABELS, min_confidence=0.4, confusion=tuple((index,) * 7 for index in range(7))),
    Head("votes", "votes", ("sad", "contempt"), temperature=2.0),
)


def _build_onnx_with_heads(path: Path, contract: Contract, outputs: Sequence[str] = ("people", "votes")) -> Path:
    """Heads of 7 and 2 classes whose last label a bright face gets."""
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["float"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
    ]
    values, sizes = [], dict(zip(outputs, (7, 2), strict=True))
    for name, size in sizes.items():
        weights = np.linspace(-0.02, 0.02, size, dtype=np.float32)[None]
        values += [
            numpy_helper.from_array(weights, f"{name}_weights"),
            numpy_helper.from_array(-weights[0] * 127, f"{name}_bias"),
        ]
        nodes.append(helper.make_node("Gemm", ["flat", f"{name}_weights", f"{name}_bias"], [f"{name}_logits"]))
        nodes.append(helper.make_node("Softmax", [f"{name}_logits"], [name], axis=1))
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in sizes.items()]
    faces = helper.make_tensor_value_info("faces", TensorProto.UINT8, ["batch", 1, 48, 48])
    graph = helper.make_graph(nodes, "tiny", [faces], shapes, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: contract.to_json()})
    onnx.save(model, str(path))
    return path


def _build_onnx(path: Path, contract: Contract | str | None, outputs: int = 7, batch: str | int = "batch") -> Path:
    """Probabilities that depend on the face's mean gray: dark faces are the first label, bright ones the last."""
    weights = np.linspace(-0.02, 0.02, outputs, dtype=np.float32)[None]
    bias = -weights[0] * 127
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("GlobalAveragePool", ["float"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, [batch, 1, 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias.astype(np.float32), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if contract is not None:
        text = contract if isinstance(contract, str) else contract.to_json()
        helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, str(path))
    return path


@pytest.fixture
def build_onnx() -> Callable[..., Path]:
    return _build_onnx


@pytest.fixture
def contract() -> Contract:
    return replace(CONTRACT)


@pytest.fixture
def detector_contract() -> Contract:
    framing = {"of_width": 0.0, "of_height": 0.95, "right": 0.0, "down": 0.0}
    detector = DetectorContract((8, 16), 4.0, 0.5, 12, framing)
    return Contract("detector", (), (32, 32), "grey", output="boxes", detector=detector)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build_onnx(tmp_path_factory.mktemp("model") / "tiny.onnx", CONTRACT)


@pytest.fixture
def build_onnx_with_heads() -> Callable[..., Path]:
    return _build_onnx_with_heads


@pytest.fixture(scope="session")
def model_with_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build_onnx_with_heads(tmp_path_factory.mktemp("heads") / "heads.onnx", CONTRACT.with_heads(HEADS))


@pytest.fixture(scope="session")
def classifier(model: Path) -> Classifier:
    return Classifier(model)


@pytest.fixture(scope="session")
def face_image() -> Image:
    """A drawn face of 320 x 240, which every detector finds."""
    return np.asarray(draw_scene(0.5, (320, 240)))


@pytest.fixture
def make_face() -> Callable[..., Face]:
    def make(
        box: tuple[float, float, float, float] = (10, 20, 30, 40), emotion: str = "happy", track_id: int = 0
    ) -> Face:
        probabilities = dict.fromkeys(LABELS, 0.05) | {emotion: 0.7}
        return Face(box, 0.9, emotion, 0.7, probabilities, track_id, 12.5)

    return make


@pytest.fixture
def make_result(make_face: Callable[..., Face]) -> Callable[..., FrameResult]:
    def make(frame: int = 0, faces: int = 1, file: str | None = None) -> FrameResult:
        return FrameResult(frame, frame / 30, True, tuple(make_face(track_id=index) for index in range(faces)), file)

    return make


class FakeSource(Source):
    """Blank frames whose first pixel holds their number; `before` is called with the number before each."""

    name = "fake"

    def __init__(self, frames: int, live: bool = False, before: Callable[[int], None] = lambda _number: None) -> None:
        self.live, self.frames, self.before = live, frames, before
        self.number = 0
        self.closed = False

    def read(self) -> SourceFrame | None:
        self.before(self.number)
        if self.number == self.frames:
            return None
        image = np.full((60, 80), self.number % 256, dtype=np.uint8)
        grab = SourceFrame(image, media_time_s=None if self.live else self.number / 30)
        self.number += 1
        return grab

    def close(self) -> None:
        self.closed = True


WARM_UP_SHAPE = (240, 320)  # the blank image with which a pipeline warms up the detector


class FakeDetector:
    """The same boxes in every image; `before` is called with the frame's number before each detection."""

    name = "fake"
    framing = Framing(of_width=1.0)
    needs_color = False

    def __init__(self, faces: int = 1, before: Callable[[int], None] = lambda _number: None) -> None:
        self.before = before
        self.boxes = [(5.0 + 20 * index, 5.0, 15.0, 15.0) for index in range(faces)]

    def detect(self, image: Image) -> list[Detection]:
        if image.shape == WARM_UP_SHAPE:
            return []
        self.before(int(image.flat[0]))
        return [Detection(box, 1.0) for box in self.boxes]


class FakeClassifier:
    """Records the size of each batch; `before` is called with the frame's number before each."""

    labels = LABELS
    contract = CONTRACT
    min_confidence = CONTRACT.min_confidence
    path, sha256, precision = Path("fake.onnx"), "0" * 64, "fp32"
    head = None
    accuracy = None
    confusion = None

    def __init__(self, before: Callable[[int], None] = lambda _number: None) -> None:
        self.before = before
        self.batches: list[int] = []

    def classify(self, image: Image, squares: Iterable[object]) -> np.ndarray:
        self.before(int(image.flat[0]))
        count = len(list(squares))
        self.batches.append(count)
        return np.tile(np.float32([0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), (count, 1))


class Fakes:
    """The fakes under short names, and a pipeline of them that records its results."""

    Source, Detector, Classifier = FakeSource, FakeDetector, FakeClassifier

    def __init__(self) -> None:
        self.published: list[FrameResult] = []

    def pipeline(
        self, source: Source, detector: object = None, classifier: object = None, **options: object
    ) -> Pipeline:
        return Pipeline(
            source, detector or FakeDetector(), classifier or FakeClassifier(),
            lambda _frame, result: self.published.append(result), **options,
        )  # fmt: skip

    @staticmethod
    def finish(pipeline: Pipeline) -> Pipeline:
        """Start the pipeline, wait for its end, release it; a deadlock fails the test."""
        pipeline.start()
        assert pipeline.wait(20), "the pipeline does not end"
        pipeline.release()
        return pipeline


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def ffmpeg_program() -> str:
    """The path of ffmpeg."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed")
    return program


@pytest.fixture(params=["opencv", "ffmpeg"])
def video_encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who encodes videos in this test, by turns."""
    if request.param == "ffmpeg":
        request.getfixturevalue("ffmpeg_program")
    else:
        monkeypatch.setattr("fer_edge.sinks.ffmpeg.find_ffmpeg", lambda: None)
    return str(request.param)


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """Fail if the test leaves a thread of the pipeline or of a sink behind."""
    yield
    left = [thread for thread in threading.enumerate() if thread.name.startswith("fer-")]
    for thread in left:
        thread.join(5)
    assert not [thread.name for thread in left if thread.is_alive()]


@pytest.fixture
def fer_edge(model: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in `tmp_path` with the tiny network, without a screen."""

    def run(*arguments: str, with_model: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fer_edge", *(["--model", str(model)] if with_model else []), *arguments]
        environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
        environment.setdefault("FER_EDGE_DEFAULTS", "")  # tests must not read the user's tuned defaults
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    return run
