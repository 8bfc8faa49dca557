"""Every setting of the command has its counterpart in Python; detectors of the caller's own; wrong settings."""

import dataclasses
import inspect
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import fer_models
from fer_edge import Detection, Detector, EmotionRecognizer, FerError, Framing, StreamOptions
from fer_edge.cli import commands
from fer_edge.errors import ModelError
from fer_edge.framing import Image
from fer_edge.network import session

pytestmark = pytest.mark.usefixtures("no_threads_left")

NOT_IN_PYTHON = {
    "sources": "the argument of recognize and stream",
    "source": "the argument of recognize and stream",
    "camera": "stream(0)",
    "list_cameras": "fer-edge --list-cameras",
    "headless": "Python shows no window",
    "json": "result.to_dict()",
    "csv": "result.to_dict()",
    "output": "annotate(result.image, result.faces)",
    "report": "RunSummary",
    "analyze": "fer_edge.analysis",
    "aggregate": "IntervalAggregator",
    "at_least": "Aggregation",
    "aggregate_out": "interval.to_dict()",
    "verbose": "Python prints nothing",
    "overwrite": "Python writes no file",
    "serve": "Python serves nothing",
    "serve_token": "of serve",
    "serve_host": "of serve",
    "rotate_output": "Python writes no file",
    "keep_output": "Python writes no file",
    "metrics_file": "of the command alone",
    "mqtt": "of the command alone",
    "mqtt_user": "of the command alone",
    "mqtt_password_file": "of the command alone",
    "mqtt_ca": "of the command alone",
    "mqtt_id": "of the command alone",
    "on_change": "a loop over stream",
    "webhook": "a loop over stream",
    "webhook_header_file": "a loop over stream",
}


class Middle:
    """One face in the middle of the image, half as high; remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[Image] = []

    def detect(self, image: Image) -> list[Detection]:
        self.seen.append(image)
        height, width = image.shape[:2]
        return [Detection((width / 2 - height / 4, height / 4, height / 2, height / 2), 0.5)]


class GrayMiddle(Middle):
    name, needs_color, framing = "gray-middle", False, Framing(of_width=0.5)


class Returning:
    """Returns the same, right or wrong."""

    def __init__(self, found: object) -> None:
        self.found = found

    def detect(self, _image: Image) -> Sequence[Detection]:
        return self.found  # type: ignore[return-value]


def test_every_option_of_the_command_has_a_counterpart_in_python() -> None:
    options = {param.name for param in commands.edge.params if param.expose_value}
    fields = {field.name for field in dataclasses.fields(StreamOptions)}
    arguments = set(inspect.signature(EmotionRecognizer).parameters)
    assert options - fields - arguments == set(NOT_IN_PYTHON)
    assert (fields | arguments) - options == set(), "and Python has no setting that the command lacks"


def test_the_precision_chooses_a_shipped_model(face_image: Image) -> None:
    for precision in ("int8", "fp32"):
        recognizer = EmotionRecognizer(precision=precision)
        assert recognizer.recognize(face_image) == EmotionRecognizer(fer_models.model_path(precision))(face_image)


def test_tuned_settings_are_those_that_tune_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, face_image: Image
) -> None:
    path = tmp_path / "defaults.toml"
    path.write_text('precision = "fp32"\nthreads = 1\ndetect_size = 320\n')
    monkeypatch.setenv("FER_EDGE_DEFAULTS", str(path))
    expected = EmotionRecognizer(precision="fp32", threads=1, detect_size_px=320)(face_image)
    assert EmotionRecognizer.tuned()(face_image) == expected


def test_a_smaller_detection_size_misses_small_faces(model: Path, face_image: Image) -> None:
    wide = np.full((1200, 1600, 3), 150, np.uint8)
    wide[:240, :320] = face_image
    assert EmotionRecognizer(model, detect_size_px=64)(wide) == []
    assert len(EmotionRecognizer(model, detect_size_px=1600)(wide)) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"threads": 0}, {"min_face_px": -5}, {"min_score": -0.1}, {"detect_size_px": 0}, {"min_score": float("nan")}],
)
def test_a_number_out_of_range_is_refused_by_its_name(model: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* must be at least"):
        EmotionRecognizer(model, **wrong)  # type: ignore[arg-type]


def test_wrong_networks_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="luma, yunet, haar"):
        EmotionRecognizer(model, "nonsense")
    with pytest.raises(FerError, match=r"missing\.onnx is not a file: name an ONNX file that fer-export wrote"):
        EmotionRecognizer(tmp_path / "missing.onnx")
    with pytest.raises(FerError, match="the detector yunet needs its file"):
        EmotionRecognizer(model, "yunet")
    with pytest.raises(ValueError, match="'int4'; there are"):
        EmotionRecognizer(precision="int4")
    with pytest.raises(ValueError, match="leave out precision or model"):
        EmotionRecognizer(model, precision="int8")


def test_no_message_of_the_api_names_an_option_of_the_command(model: Path, tmp_path: Path) -> None:
    for wrong in (
        {"model": tmp_path / "no.onnx"}, {"detector": "yunet"}, {"detector_model": tmp_path / "no.onnx"},
        {"detector": "luma", "detector_model": tmp_path / "no.onnx"}, {"detector": "haar", "detector_model": model},
    ):  # fmt: skip
        with pytest.raises(FerError) as raised:
            EmotionRecognizer(**{"model": model, **wrong})  # type: ignore[arg-type]
        assert "--" not in str(raised.value)


def test_any_object_with_detect_is_a_detector(model: Path, face_image: Image) -> None:
    assert isinstance(Middle(), Detector)
    detector = Middle()
    recognizer = EmotionRecognizer(model, detector)
    (face,) = recognizer(face_image)
    assert face.box == (100, 60, 120, 120)
    assert face.score == 0.5
    recognizer(face_image[:, :, 0])
    assert [image.shape for image in detector.seen] == [(240, 320, 3)] * 2, "a gray image is given as BGR, too"
    results = list(recognizer.stream([face_image] * 3, fps=30))
    assert [[face.xyxy for face in result] for result in results] == [[(100, 60, 220, 180)]] * 3


def test_a_detector_may_ask_for_gray_and_bring_its_framing(model: Path, face_image: Image) -> None:
    detector = GrayMiddle()
    assert len(EmotionRecognizer(model, detector)(face_image)) == 1
    assert [image.shape for image in detector.seen] == [(240, 320)]
    assert EmotionRecognizer(model, detector, min_face_px=61)(face_image) == [], "its square has 60 pixels"
    assert EmotionRecognizer(model, detector, min_score=0.6)(face_image) == []


@pytest.mark.parametrize("found", [[(1, 2, 3, 4)], [None], [((1, 2, 3), 1.0)], [((1, 2, "a", 4), 1.0)], 7])
def test_a_detector_that_returns_no_detections_is_a_type_error(model: Path, face_image: Image, found: object) -> None:
    with pytest.raises(TypeError):
        EmotionRecognizer(model, Returning(found))(face_image)


def test_the_error_about_a_wrong_detection_says_what_is_expected(model: Path, face_image: Image) -> None:
    with pytest.raises(TypeError, match=r"Returning\.detect must return Detection\(\(x, y, width, height\), score\)"):
        EmotionRecognizer(model, Returning([(1, 2, 3, 4)]))(face_image)


@pytest.mark.parametrize("box", [(0, 0, 0, 9), (0, 0, 9, -9), (float("nan"), 0, 9, 9), (0, 0, float("inf"), 9)])
def test_a_box_without_an_area_is_a_value_error(
    model: Path, face_image: Image, box: tuple[float, float, float, float]
) -> None:
    with pytest.raises(ValueError, match=r"Returning\.detect returned a box without an area"):
        EmotionRecognizer(model, Returning([Detection(box, 1.0)]))(face_image)


def test_a_detector_may_return_numbers_of_numpy(model: Path, face_image: Image) -> None:
    rows = np.float32([[100, 60, 120, 120, 0.5]])
    detector = Returning([(row[:4], row[4]) for row in rows])
    (face,) = EmotionRecognizer(model, detector)(face_image)
    assert json.loads(json.dumps(face.to_dict()))["box"] == [100, 60, 120, 120]


def test_a_box_outside_the_image_is_clipped(model: Path, face_image: Image) -> None:
    (face,) = EmotionRecognizer(model, Returning([((300, 200, 100, 100), 1)]))(face_image)
    assert face.xyxy == (300, 200, 320, 240)


def test_what_is_no_detector_is_refused(model: Path) -> None:
    with pytest.raises(TypeError, match=r"a method detect\(image\), not dict"):
        EmotionRecognizer(model, {})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="for a detector given by name"):
        EmotionRecognizer(model, Middle(), detector_model="a.onnx")


def test_an_error_in_a_detector_reaches_the_caller(model: Path, face_image: Image) -> None:
    class Broken:
        def detect(self, _image: Image) -> list[Detection]:
            raise LookupError("no such face")

    recognizer = EmotionRecognizer(model, Broken())
    with pytest.raises(LookupError, match="no such face"):
        recognizer(face_image)
    with pytest.raises(LookupError, match="no such face"):
        next(recognizer.stream([face_image]))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"start_time": "2026-05-01T14:30:00"}, r"start_time='2026.*' is not a datetime: use datetime.fromisoformat"),
        ({"smooth_s": "a"}, "smooth_s='a' is not a number"),
        ({"smooth_s": None}, "smooth_s=None is not a number"),
        ({"give_up_s": "a"}, "give_up_s='a' is not a number"),
        ({"detect_hz": "a"}, "detect_hz='a' is not a number or None"),
        ({"max_frames": [1]}, "max_frames=.1. is not a number or None"),
        ({"min_confidence": "a"}, "min_confidence='a' is not a number or None"),
        ({"camera_size": 640}, "camera_size=640: use .width, height. in pixels"),
        ({"camera_size": ("640", "480")}, "camera_size=.*: use .width, height. in pixels"),
        ({"rotate_deg": "a"}, "rotate_deg=a: use 0, 90"),
    ],
)
def test_a_stream_option_of_a_wrong_type_is_named(setting: dict, expected: str) -> None:
    with pytest.raises((TypeError, ValueError), match=expected):
        StreamOptions(**setting)


@pytest.mark.parametrize("name", ["threads", "min_face_px", "min_score", "detect_size_px", "min_confidence"])
def test_a_recognizer_number_of_a_wrong_type_is_named(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}='a' is not a number"):
        EmotionRecognizer(**{name: "a"})


def test_numbers_of_numpy_are_numbers() -> None:
    options = StreamOptions(smooth_s=np.float32(0.5), max_frames=np.int64(3), camera_size=(np.int64(640), 480))
    assert (options.smooth_s, options.max_frames) == (0.5, 3)


def test_a_network_that_was_loaded_for_a_recognizer_that_failed_is_not_kept() -> None:
    with pytest.raises(ValueError, match="no detector is called 'missing'"):
        EmotionRecognizer(detector="missing")
    with pytest.raises(ModelError, match="is not a file"):
        EmotionRecognizer(model="missing.onnx")
    assert session._preloading == {}
