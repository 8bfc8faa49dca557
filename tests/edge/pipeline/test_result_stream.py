"""A stream in Python: its images, its end by block, error, garbage collection and a closed recognizer."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import EmotionRecognizer, ModelError, SourceError, StreamOptions
from fer_edge.framing import Image
from fer_edge.network import timed

pytestmark = pytest.mark.usefixtures("no_threads_left")
ENDLESS = "demo:160x160,endless"


@pytest.fixture
def recognizer(model: Path) -> EmotionRecognizer:
    return EmotionRecognizer(model)


def running() -> int:
    """The number of our threads that run now."""
    return sum(thread.name.startswith("fer-") for thread in threading.enumerate())


def test_a_result_carries_its_image_as_displayed_and_read_only(recognizer: EmotionRecognizer) -> None:
    image = np.arange(80 * 60 * 3, dtype=np.uint8).reshape(60, 80, 3)
    (result,) = recognizer.stream([image], options=StreamOptions(mirror=True, rotate_deg=90))
    assert result.image is not None
    np.testing.assert_array_equal(result.image, np.rot90(image, -1)[:, ::-1])
    with pytest.raises(ValueError, match="read-only"):
        result.image[0, 0] = 0
    assert "image" not in result.to_dict()


def test_each_result_has_its_own_image(recognizer: EmotionRecognizer) -> None:
    buffer = np.zeros((60, 80), np.uint8)

    def images() -> Iterator[Image]:
        for level in range(5):
            buffer[:] = level
            yield buffer

    kept = list(recognizer.stream(images()))
    assert [int(result.image.mean()) for result in kept if result.image is not None] == [0, 1, 2, 3, 4]


def test_images_are_dropped_if_they_are_not_wanted(recognizer: EmotionRecognizer, face_image: Image) -> None:
    with_image, without = (next(recognizer.stream([face_image], fps=30, images=images)) for images in (True, False))
    assert without.image is None
    assert [face.box for face in with_image] == [face.box for face in without]


def test_a_block_ends_the_stream(recognizer: EmotionRecognizer) -> None:
    with recognizer.stream(ENDLESS) as results:
        assert (results.name, results.live, results.fps) == (ENDLESS, False, 30)
        assert next(results).frame == 0
        assert running() == 3
    assert running() == 0
    assert list(results) == []
    results.close()


def test_a_stream_that_is_dropped_ends_without_being_started_or_closed(recognizer: EmotionRecognizer) -> None:
    recognizer.stream(ENDLESS)
    results = recognizer.stream(ENDLESS)
    next(results)
    assert running() == 3
    del results
    gc.collect()
    assert running() == 0


def test_an_error_in_the_loop_ends_the_stream(recognizer: EmotionRecognizer) -> None:
    with pytest.raises(ZeroDivisionError), recognizer.stream(ENDLESS) as results:
        for _ in results:
            1 / 0  # noqa: B018
    assert running() == 0


def test_an_interrupted_wait_ends_the_stream(recognizer: EmotionRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    results = recognizer.stream(ENDLESS)
    next(results)

    def interrupt(timeout_s: float) -> object:  # noqa: ARG001
        raise KeyboardInterrupt

    monkeypatch.setattr(results._results, "get", interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert running() == 0


def test_a_source_that_can_not_be_opened_is_an_error_at_once(
    recognizer: EmotionRecognizer, face_image: Image, tmp_path: Path
) -> None:
    for source, options in (
        ("missing.mp4", StreamOptions()), (tmp_path, StreamOptions()), ("/dev/video99", StreamOptions()),
    ):  # fmt: skip
        with pytest.raises(SourceError):
            recognizer.stream(source, options=options)
    with pytest.raises(TypeError, match="put a single image into a list"):
        recognizer.stream(face_image)
    for nothing in (None, 1.5):
        with pytest.raises(TypeError, match=f"or iterable of images, not {type(nothing).__name__}"):
            recognizer.stream(nothing)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps=0"):
        recognizer.stream([face_image], fps=0)


def test_an_iterable_may_mix_arrays_paths_and_pil_images(
    recognizer: EmotionRecognizer, face_image: Image, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), face_image)
    images: list[object] = [face_image, path, str(path)]
    if pil := pytest.importorskip("PIL.Image"):
        images.append(pil.open(path))
    results = list(recognizer.stream(images))  # type: ignore[arg-type]
    assert [len(result) for result in results] == [1, 1, 1, 1]
    assert [result.file for result in results] == [None, str(path), str(path), None]
    with pytest.raises(SourceError, match=r"^image 1: missing\.png does not exist"):
        list(recognizer.stream([path, "missing.png"]))


def test_a_folder_is_read_recursively_by_default(
    recognizer: EmotionRecognizer, face_image: Image, tmp_path: Path
) -> None:
    (tmp_path / "below").mkdir()
    for path in (tmp_path / "a.png", tmp_path / "below" / "b.png"):
        cv2.imwrite(str(path), face_image)
    assert len(list(recognizer.stream(tmp_path))) == 2
    assert len(list(recognizer.stream(tmp_path, options=StreamOptions(recursive=False)))) == 1


def test_a_stream_stops_at_its_limit_of_frames_or_time(recognizer: EmotionRecognizer) -> None:
    assert len(list(recognizer.stream(ENDLESS, options=StreamOptions(max_frames=7)))) == 7
    assert len(list(recognizer.stream(ENDLESS, options=StreamOptions(duration_s=0.2)))) == 6


def test_closing_the_recognizer_ends_its_streams_and_refuses_further_use(model: Path, face_image: Image) -> None:
    with EmotionRecognizer(model) as recognizer:
        results = recognizer.stream(ENDLESS)
        next(results)
    assert running() == 0
    assert list(results) == []
    recognizer.close()
    for use in (recognizer, recognizer.classify, recognizer.stream, lambda image: recognizer([image])):
        with pytest.raises(ValueError, match="the recognizer is closed"):
            use(face_image)
    assert len(recognizer.labels) == 7


def test_a_thread_that_waits_for_a_closed_stream_goes_on(recognizer: EmotionRecognizer, face_image: Image) -> None:
    gate = threading.Event()

    def images() -> Iterator[Image]:
        yield face_image
        gate.wait(20)

    results = recognizer.stream(images())
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.extend(result.frame for result in results))
    thread.start()
    while not seen:
        pass
    threading.Timer(0.2, gate.set).start()  # the iterable itself can't be interrupted
    results.close()
    thread.join(20)
    assert not thread.is_alive()
    assert seen == [0]


def test_a_network_that_does_not_stop_is_an_error_and_is_left_behind(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, reached = threading.Event(), threading.Event()

    class Stuck:
        def detect(self, image: Image) -> list[tuple[float, float, float, float]]:
            if image.shape[:2] == (160, 160):
                reached.set()
                released.wait(30)
            return []

    monkeypatch.setattr(timed, "stuck_network", lambda: ModelError("m.onnx does not end") if reached.is_set() else None)
    try:
        with pytest.raises(ModelError, match="does not end"):
            next(EmotionRecognizer(model, detector=Stuck()).stream(ENDLESS))
    finally:
        released.set()
