import importlib.metadata
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import fer_edge
from fer_edge import EmotionRecognizer, Face, FerError, FrameResult, StreamOptions, errors
from fer_edge.framing import Image

pytestmark = pytest.mark.usefixtures("no_threads_left")


@pytest.fixture(scope="module")
def recognizer(model: Path) -> EmotionRecognizer:
    return EmotionRecognizer(model)


def test_the_public_names_are_these() -> None:
    assert fer_edge.__all__ == [
        "Aggregation", "ConnectError", "ContractError", "DataError", "Detection", "Detector", "EmotionRecognizer",
        "Face", "FerError", "FrameResult", "Framing", "GateError", "IntervalAggregator", "MissingExtraError",
        "ModelError", "OutputError", "ResultStream", "RunSummary", "SourceError", "StreamOptions",
        "__version__", "annotate",
    ]  # fmt: skip
    assert set(errors.__all__) < set(fer_edge.__all__)
    assert all(hasattr(fer_edge, name) for name in fer_edge.__all__)
    assert set(fer_edge.__all__) <= set(dir(fer_edge))
    with pytest.raises(AttributeError, match="nonsense"):
        fer_edge.nonsense  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert fer_edge.__version__ == importlib.metadata.version("fer-edge")


def test_a_stream_takes_the_options_of_the_command_line(recognizer: EmotionRecognizer, face_image: Image) -> None:
    sparing = StreamOptions(detect_hz=5)
    results = list(recognizer.stream([face_image] * 7, fps=30, options=sparing))
    assert [result.frame for result in results if result.detected] == [0, 6]


def test_a_face_has_a_box_and_probabilities(recognizer: EmotionRecognizer, face_image: Image) -> None:
    (face,) = recognizer.recognize(face_image)
    assert isinstance(face, Face)
    x, y, width, height = face.box
    assert 0 <= x < x + width <= 320
    assert 0 <= y < y + height <= 240
    assert tuple(face.probabilities) == recognizer.labels
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert face.confidence == max(face.probabilities.values()) == face.probabilities[face.emotion]
    assert face.track_id is None


def test_an_image_without_a_face_gives_an_empty_list(recognizer: EmotionRecognizer) -> None:
    assert recognizer.recognize(np.zeros((100, 100, 3), dtype=np.uint8)) == []


def test_views_gray_and_read_only_images_are_accepted(recognizer: EmotionRecognizer, face_image: Image) -> None:
    (expected,) = recognizer.recognize(np.ascontiguousarray(face_image[:, ::-1]))
    (face,) = recognizer.recognize(face_image[:, ::-1])
    assert face == expected
    frozen = face_image.mean(axis=2).astype(np.uint8)
    frozen.flags.writeable = False
    assert len(recognizer.recognize(frozen)) == 1


@pytest.mark.parametrize("wrong", [7, b"a.jpg", [[0]], np.zeros((9, 9)), np.zeros((9, 9, 3), np.float32)])
def test_anything_but_a_uint8_array_is_a_type_error(recognizer: EmotionRecognizer, wrong: object) -> None:
    with pytest.raises(TypeError, match="uint8"):
        recognizer.recognize(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(9,), (9, 9, 4), (9, 9, 1), (2, 9, 9, 3), (0, 9, 3)])
def test_an_array_of_another_shape_is_a_value_error(recognizer: EmotionRecognizer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        recognizer.recognize(np.zeros(shape, dtype=np.uint8))


def test_a_stream_of_images_gives_every_result_in_order(recognizer: EmotionRecognizer, face_image: Image) -> None:
    results = list(recognizer.stream([face_image] * 7))
    assert [result.frame for result in results] == list(range(7))
    assert all(isinstance(result, FrameResult) and result.detected for result in results)
    assert {face.track_id for result in results for face in result.faces} == {0}


def test_fps_sets_the_clock_of_an_iterable(recognizer: EmotionRecognizer, face_image: Image) -> None:
    results = list(recognizer.stream([face_image] * 5, fps=10))
    assert [result.t for result in results] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    for source, fps in (([face_image], 0.0), ([face_image], float("nan")), ("demo:", 10.0)):
        with pytest.raises(ValueError, match="fps"):
            next(recognizer.stream(source, fps=fps))


def test_an_iterable_may_reuse_its_array(recognizer: EmotionRecognizer, face_image: Image) -> None:
    def images() -> Iterator[Image]:
        buffer = face_image.copy()
        for _ in range(6):
            buffer[:] = face_image
            yield buffer
            buffer[:] = 0  # while earlier images are still being processed

    assert [len(result.faces) for result in recognizer.stream(images())] == [1] * 6


def test_a_file_can_be_streamed_by_path_or_name(
    recognizer: EmotionRecognizer, face_image: Image, tmp_path: Path
) -> None:
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), face_image)
    for source in (path, str(path)):
        (result,) = recognizer.stream(source)
        assert result.file == str(path)
        assert len(result.faces) == 1


def test_leaving_a_stream_early_ends_its_threads_and_frees_its_device(recognizer: EmotionRecognizer) -> None:
    before = threading.active_count()
    for result in recognizer.stream("demo:160x160,endless"):
        if result.frame == 3:
            break
    stream = recognizer.stream("demo:160x160,endless")
    next(stream)
    stream.close()
    del stream
    assert threading.active_count() == before


def test_an_error_in_the_iterable_reaches_the_caller(recognizer: EmotionRecognizer, face_image: Image) -> None:
    def images() -> Iterator[Image]:
        yield face_image
        raise LookupError("no more images")

    taken = []
    with pytest.raises(LookupError, match="no more images"):
        for result in recognizer.stream(images()):
            taken.append(result)
    assert len(taken) == 1


def test_wrong_sources_are_refused(recognizer: EmotionRecognizer, face_image: Image) -> None:
    with pytest.raises(FerError, match=r"missing\.mp4"):
        next(recognizer.stream("missing.mp4"))
    with pytest.raises(TypeError, match="list"):
        next(recognizer.stream(face_image))
    with pytest.raises(TypeError, match="image 1: image is None"):
        list(recognizer.stream([face_image, None]))  # type: ignore[list-item]


def test_an_image_may_be_recognized_while_a_stream_runs(recognizer: EmotionRecognizer, face_image: Image) -> None:
    for result, _ in zip(recognizer.stream([face_image] * 5), range(5), strict=True):
        assert len(recognizer.recognize(face_image)) == len(result.faces) == 1
