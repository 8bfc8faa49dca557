"""Adapters to other people's recognizers, without the packages."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.peers import PEERS, PeerMissingError, in_our_order, open_all, open_peer
from benchmarks.peers.face_api import PACKAGES, WEIGHTS
from benchmarks.peers.ferplus_onnx import EmotionFerplus
from benchmarks.peers.opencv_zoo import POINTS, OpencvZoo, similarity
from fer_train.data import FER2013_CLASSES, FERPLUS_CLASSES

FACES = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize(
    "labels",
    [
        ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise"),
        ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised"),
    ],
)
def test_the_classes_of_a_peer_are_put_into_our_order(labels: tuple[str, ...]) -> None:
    scores = np.eye(len(labels)) * 0.8 + 0.1
    ordered = in_our_order(scores, labels)
    assert ordered.shape == (len(labels), 7)
    assert np.allclose(ordered.sum(axis=1), 1)
    for row, label in zip(ordered, labels, strict=True):
        if label != "Contempt":
            assert FER2013_CLASSES[int(row.argmax())][:3] == label.lower()[:3]


@pytest.mark.parametrize("name", [name for name in PEERS if name not in ("opencv-zoo", "face-api", "emotion-ferplus")])
def test_a_peer_that_is_not_installed_is_missing_with_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("fer", "fer.fer", "deepface", "deepface.DeepFace", "hsemotion_onnx"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PeerMissingError, match="pip install"):
        open_peer(name)


def test_an_absent_peer_is_skipped_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepface", None)
    skipped: list[str] = []
    assert list(open_all(["deepface", "opencv-zoo=nowhere.onnx", "opencv-zoo"], skipped.append)) == []
    assert [sentence.split(":")[0] for sentence in skipped] == ["peer deepface", "peer opencv-zoo", "peer opencv-zoo"]
    assert "nowhere.onnx is not a file" in skipped[1]


def test_an_unknown_peer_is_refused() -> None:
    with pytest.raises(ValueError, match="no peer is called 'unknown'"):
        open_peer("unknown")


def test_fer_gets_64_pixels_between_minus_one_and_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    class FER:
        def __init__(self, use_tflite: bool, offsets: tuple[int, int]) -> None:
            assert (use_tflite, offsets) == (True, (0, 0))

        def _classify_emotions(self, faces: np.ndarray) -> np.ndarray:
            seen.append(faces)
            return np.tile(np.float32([0, 0, 0, 1, 0, 0, 0]), (len(faces), 1))

    module = types.ModuleType("fer.fer")
    module.FER, module.__file__ = FER, str(tmp_path / "fer.py")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fer", types.ModuleType("fer"))
    monkeypatch.setitem(sys.modules, "fer.fer", module)
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1")
    peer = open_peer("fer")
    white = np.full((1, 48, 48), 255, np.uint8)
    assert peer.predict(np.concatenate([FACES, white])).argmax(axis=1).tolist() == [3] * 6
    assert seen[0].shape == (6, 64, 64)
    assert seen[0][-1].min() == seen[0][-1].max() == 1
    assert -1 <= seen[0].min() < -0.5


def test_the_alignment_maps_landmarks_to_those_of_the_zoo() -> None:
    turn = np.array([[0.0, -2.0], [2.0, 0.0]])
    matrix = similarity(POINTS @ turn.T + [30, -7], POINTS)
    moved = (POINTS @ turn.T + [30, -7]) @ matrix[:, :2].T + matrix[:, 2]
    assert np.allclose(moved, POINTS)


@pytest.mark.parametrize("found", [None, np.array([[64, 64, 100, 100, *range(90, 100), 0.9]])])
def test_the_zoos_network_gets_112_pixels_of_rgb(found: np.ndarray | None, tmp_path: Path) -> None:
    blobs: list[np.ndarray] = []

    class Network:
        def setInput(self, blob: np.ndarray, name: str) -> None:  # noqa: N802 - OpenCV's name
            assert name == "data"
            blobs.append(blob)

        def forward(self, name: str) -> np.ndarray:
            assert name == "label"
            return np.array([[0, 0, 0, 0, 5.0, 0, 0]])

    class Detector:
        def detect(self, _image: np.ndarray) -> tuple[int, np.ndarray | None]:
            return 1, found

    file = tmp_path / "fer.onnx"
    file.write_bytes(b"x")
    peer = OpencvZoo(Network(), Detector(), file)
    assert [FER2013_CLASSES[index] for index in peer.predict(FACES).argmax(axis=1)] == ["neutral"] * 5
    assert blobs[0].shape == (1, 3, 112, 112)
    assert -1 <= blobs[0].min() < blobs[0].max() <= 1


def test_contempt_is_kept_where_the_classes_have_it() -> None:
    scores = [[0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2]]
    labels = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    assert in_our_order(scores, labels, FERPLUS_CLASSES)[0, -1] == pytest.approx(0.2)
    assert in_our_order([scores[0][:7]], labels[:7], FERPLUS_CLASSES)[0, -1] == 0
    with pytest.raises(ValueError, match="ang"):
        in_our_order([scores[0][:4]], labels[:4])


def test_emotion_ferplus_gets_64_pixels_and_gives_probabilities(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    class Session:
        def get_inputs(self) -> list[types.SimpleNamespace]:
            return [types.SimpleNamespace(name="Input3")]

        def run(self, _outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            seen.append(inputs["Input3"])
            return [np.float32([[1, 2, 3, 4, 9, 3, 2, 1]])]

    file = tmp_path / "emotion-ferplus-8.onnx"
    file.write_bytes(b"x")
    found = EmotionFerplus(Session(), file).predict(np.full((2, 48, 48), 255, np.uint8), FERPLUS_CLASSES)
    assert seen[0].shape == (1, 1, 64, 64)
    assert seen[0].dtype == np.float32
    assert (seen[0] == 255).all()
    assert found.argmax(axis=1).tolist() == [0, 0]
    assert found.sum(axis=1) == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("emotion-ferplus", "names emotion-ferplus-8.onnx"), ("emotion-ferplus=nowhere.onnx", "is not a file"),
        ("emotion-ferplus={broken}", "can't be run as emotion-ferplus"),
        ("face-api", "npm install"), ("face-api={folder}", "does not hold @vladmandic/face-api"),
    ],
)  # fmt: skip
def test_a_peer_whose_files_are_absent_or_broken_is_missing_in_one_line(
    spec: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FER_FACE_API", "FER_EMOTION_FERPLUS"):
        monkeypatch.delenv(name, raising=False)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"x")
    with pytest.raises(PeerMissingError) as caught:
        open_peer(spec.format(broken=broken, folder=tmp_path))
    assert sentence in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def a_node_modules(folder: Path) -> Path:
    """Packages that look like face-api's; the script is not theirs, so a stand-in for node runs it."""
    for package in PACKAGES:
        (folder / "node_modules" / package).mkdir(parents=True)
    weights = folder / "node_modules" / WEIGHTS
    weights.parent.mkdir()
    weights.write_bytes(b"12345")
    (folder / "node_modules" / PACKAGES[0] / "package.json").write_text('{"version": "1.7.15"}')
    return folder / "node_modules"


def test_face_api_gets_the_pixels_and_its_labels_are_put_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text(
        f"#!{sys.executable}\nimport json, sys\nside, faces = int(sys.argv[3]), sys.stdin.buffer\n"
        "labels = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised']\n"
        "while head := faces.read(4):\n"
        "    count = int.from_bytes(head, 'little')\n"
        "    assert len(faces.read(count * side**2)) == count * side**2\n"
        "    print(json.dumps({'labels': labels, 'scores': [[0.1, 0.7, 0, 0.1, 0, 0, 0.1]] * count}), flush=True)\n"
    )
    node.chmod(0o755)
    modules = a_node_modules(tmp_path)
    monkeypatch.setattr("shutil.which", lambda _name: str(node))
    peer = open_peer(f"face-api={modules}")
    assert (peer.version, peer.file_mb) == ("1.7.15", 5e-6)
    for faces in (FACES, FACES[:2], np.zeros((3, 64, 64), np.uint8)):
        found = peer.predict(faces)
        assert found.shape == (len(faces), 7)
        assert [FER2013_CLASSES[index] for index in found.argmax(axis=1)] == ["happy"] * len(faces)
    assert open_peer(f"face-api={tmp_path}").version == "1.7.15"  # the folder above node_modules
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(PeerMissingError, match="needs node"):
        open_peer(f"face-api={modules}")
    node.write_text(f"#!{sys.executable}\nraise SystemExit('a package is damaged')\n")
    monkeypatch.setattr("shutil.which", lambda _name: str(node))
    with pytest.raises(PeerMissingError, match="a package is damaged"):
        open_peer(f"face-api={modules}")


def test_every_peer_has_a_module() -> None:
    folder = Path(peers.__file__).parent
    assert all((folder / f"{module}.py").is_file() for module in PEERS.values())
