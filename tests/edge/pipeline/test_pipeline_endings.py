import threading
from collections import Counter
from collections.abc import Callable

import pytest

from fer_edge.errors import SourceError
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Frame, Pipeline
from fer_edge.results import FrameResult

pytestmark = pytest.mark.usefixtures("no_threads_left")
WAIT_S = 10


def accounted(pipeline: Pipeline) -> int:
    stats = pipeline.stats
    return stats.processed + pipeline.dropped.total() + stats.errors + pipeline.in_flight


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("stage", ["source", "detector", "classifier", "publish"])
def test_a_stage_that_fails_ends_the_run_and_its_error_surfaces(fakes, stage: str, live: bool) -> None:
    def fail(number: int) -> None:
        if number >= 3:
            raise RuntimeError(f"{stage} broke")

    nothing: Callable[[int], None] = lambda _number: None  # noqa: E731
    source = fakes.Source(100_000, live, before=fail if stage == "source" else nothing)
    detector = fakes.Detector(before=fail if stage == "detector" else nothing)
    classifier = fakes.Classifier(before=fail if stage == "classifier" else nothing)

    def publish(frame: Frame, _result: FrameResult) -> None:
        if stage == "publish":
            fail(frame.index)

    pipeline = fakes.finish(Pipeline(source, detector, classifier, publish))
    assert isinstance(pipeline.error, RuntimeError)
    assert str(pipeline.error) == f"{stage} broke"
    assert source.closed
    assert accounted(pipeline) == pipeline.stats.captured


def test_frames_captured_before_the_source_was_lost_are_processed(fakes) -> None:
    def lose(number: int) -> None:
        if number == 7:
            raise SourceError("lost")

    pipeline = fakes.finish(fakes.pipeline(fakes.Source(100, before=lose)))
    assert len(fakes.published) == 7
    assert isinstance(pipeline.error, SourceError)
    assert pipeline.in_flight == 0


def test_stop_ends_capturing_and_processes_the_captured_frames(fakes) -> None:
    pipeline = fakes.pipeline(
        fakes.Source(100_000),
        classifier=fakes.Classifier(before=lambda number: number == 5 and pipeline.stop("enough")),
    )
    fakes.finish(pipeline)
    assert pipeline.exit_reason == "enough"
    assert 6 <= pipeline.stats.captured < 100
    assert pipeline.in_flight == 0
    assert accounted(pipeline) == pipeline.stats.captured


def test_the_first_reason_to_stop_stays(fakes) -> None:
    pipeline = fakes.pipeline(fakes.Source(3))
    pipeline.stop("first")
    pipeline.stop("second")
    assert fakes.finish(pipeline).exit_reason == "first"
    assert pipeline.stats.captured == 0


def test_a_source_that_hangs_is_abandoned(fakes) -> None:
    reached, freed = threading.Event(), threading.Event()

    def hang(number: int) -> None:
        if number == 4:
            reached.set()
            freed.wait(60)

    pipeline = fakes.pipeline(fakes.Source(10, live=True, before=hang))
    pipeline.start()
    assert reached.wait(WAIT_S)
    pipeline.release(timeout_s=0.05)
    assert pipeline.wait(0)
    assert (pipeline.stats.captured, pipeline.in_flight) == (4, 0)
    # When the device wakes up after all, its frame is accounted for, too.
    freed.set()
    pipeline._threads[0].join(WAIT_S)
    assert pipeline.dropped["stopped"] == pipeline.stats.captured - 4
    assert pipeline.in_flight == 0


def test_a_classifier_that_fails_ends_a_run_whose_source_hangs(fakes) -> None:
    freed = threading.Event()

    def fail(_number: int) -> None:
        raise RuntimeError("broken")

    source = fakes.Source(10, live=True, before=lambda number: number == 1 and freed.wait(60))
    pipeline = fakes.pipeline(source, classifier=fakes.Classifier(before=fail))
    pipeline.start()
    assert pipeline.wait(WAIT_S), "the detector waits for a frame that never comes"
    freed.set()
    pipeline.release()
    assert str(pipeline.error) == "broken"


def test_a_stage_blocked_by_a_slow_classifier_is_stopped_and_its_frame_counted(fakes) -> None:
    blocked, freed = threading.Event(), threading.Event()

    def slow(_number: int) -> None:
        blocked.set()
        freed.wait(60)

    pipeline = fakes.pipeline(fakes.Source(100), classifier=fakes.Classifier(before=slow))
    pipeline.start()
    assert blocked.wait(WAIT_S)
    threading.Timer(0.3, freed.set).start()
    pipeline.release(timeout_s=0.01)
    assert pipeline.in_flight == 0
    assert accounted(pipeline) == pipeline.stats.captured < 100


def test_release_frees_a_source_that_was_never_started(fakes) -> None:
    source = fakes.Source(3)
    fakes.pipeline(source).release()
    assert source.closed


def test_release_after_an_interrupted_start_does_not_fail(fakes) -> None:
    class Interrupting(fakes.Detector):
        def detect(self, _image):
            raise KeyboardInterrupt

    source = fakes.Source(3)
    pipeline = fakes.pipeline(source, Interrupting())
    with pytest.raises(KeyboardInterrupt):
        pipeline.start()
    pipeline.release()
    assert source.closed


@pytest.mark.parametrize("stage", ["capture", "detect", "classify"])
def test_release_in_one_of_its_own_threads_ends_them_all(fakes, stage: str) -> None:
    failed: list[BaseException] = []

    def release(number: int) -> None:
        if number == 3:
            try:
                pipeline.release()
            except BaseException as error:
                failed.append(error)
                raise

    source = fakes.Source(10**6, live=True, before=release if stage == "capture" else lambda _number: None)
    detector = fakes.Detector(before=release) if stage == "detect" else None
    classifier = fakes.Classifier(before=release) if stage == "classify" else None
    pipeline = fakes.pipeline(source, detector, classifier, options=StreamOptions(lossless=True))
    pipeline.start()
    for thread in pipeline._threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert not failed
    assert source.closed


def test_release_does_not_wait_longer_than_its_limit(fakes) -> None:
    blocked, freed = threading.Event(), threading.Event()

    def hang(_number: int) -> None:
        blocked.set()
        freed.wait(60)

    pipeline = fakes.pipeline(fakes.Source(100), fakes.Detector(before=hang))
    pipeline.start()
    assert blocked.wait(WAIT_S)
    pipeline.release(limit_s=0.05)
    assert not pipeline.wait(0)
    freed.set()
    pipeline.release()
    assert pipeline.wait(0)


def test_dropped_frames_are_counted_while_capture_adds_a_cause(fakes) -> None:
    class Growing(Counter[str]):
        def items(self):
            for item in super().items():
                self[f"{len(self)}"] += 1
                yield item

    pipeline = fakes.pipeline(fakes.Source(1))
    pipeline.stats.dropped = Growing(stopped=2)
    assert pipeline.dropped == {"stopped": 2}
    pipeline.release()
