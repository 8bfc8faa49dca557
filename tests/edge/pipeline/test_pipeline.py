import threading

import numpy as np
import pytest

from fer_edge.pipeline import pipeline as pipeline_module
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Frame, Pipeline
from fer_edge.results import FrameResult
from fer_edge.sources.base import Source, SourceFrame

pytestmark = pytest.mark.usefixtures("no_threads_left")
WAIT_S = 10


def accounted(pipeline: Pipeline) -> int:
    stats = pipeline.stats
    return stats.processed + pipeline.dropped.total() + stats.errors + pipeline.in_flight


def test_every_frame_of_a_file_is_processed_in_order(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(40)))
    assert [result.frame for result in fakes.published] == list(range(40))
    assert fakes.published[30].t == pytest.approx(1.0)
    assert (pipeline.stats.captured, pipeline.stats.processed, pipeline.in_flight) == (40, 40, 0)
    assert not pipeline.dropped
    assert pipeline.exit_reason == "end of source"
    assert pipeline.source.closed


def test_the_newest_frame_of_a_live_source_wins_and_the_others_are_counted(fakes) -> None:
    detector_has_0, captured_all = threading.Event(), threading.Event()

    def before_read(number: int) -> None:
        if number == 1:
            assert detector_has_0.wait(WAIT_S)
        if number == 10:
            captured_all.set()

    def before_detect(number: int) -> None:
        if number == 0:
            detector_has_0.set()
            assert captured_all.wait(WAIT_S)

    source = fakes.Source(10, live=True, before=before_read)
    pipeline = fakes.finish(fakes.pipeline(source, fakes.Detector(before=before_detect)))
    assert [result.frame for result in fakes.published] == [0, 9]
    assert pipeline.dropped == {"newer_frame": 8}
    assert accounted(pipeline) == pipeline.stats.captured == 10
    assert pipeline.in_flight == 0


def test_detection_and_classification_run_in_parallel_on_different_frames(fakes) -> None:
    detecting_1, classifying_0 = threading.Event(), threading.Event()

    def before_detect(number: int) -> None:
        if number == 1:
            detecting_1.set()
            assert classifying_0.wait(WAIT_S), "frame 0 is not classified while frame 1 is in the detector"

    def before_classify(number: int) -> None:
        if number == 0:
            classifying_0.set()
            assert detecting_1.wait(WAIT_S), "frame 1 is not detected while frame 0 is in the classifier"

    pipeline = fakes.pipeline(
        fakes.Source(3), fakes.Detector(before=before_detect), fakes.Classifier(before=before_classify)
    )
    assert fakes.finish(pipeline).error is None
    assert pipeline.stats.processed == 3


def test_all_faces_of_a_frame_are_classified_in_one_batch(fakes) -> None:
    classifier = fakes.Classifier()
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(5), fakes.Detector(faces=3), classifier))
    assert classifier.batches == [3] * 5
    assert pipeline.stats.faces_seen == 15
    assert pipeline.stats.tracks == 3
    assert [face.track_id for face in fakes.published[-1].faces] == [0, 1, 2]


@pytest.mark.parametrize("live", [False, True])
def test_max_frames_counts_captured_frames(fakes, live: bool) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(100_000, live), options=StreamOptions(max_frames=12)))
    assert pipeline.stats.captured == 12
    assert pipeline.exit_reason == "max frames"
    assert accounted(pipeline) == 12


def test_duration_is_media_time_for_a_file(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(100_000), options=StreamOptions(duration_s=0.5)))
    assert pipeline.stats.captured == 15  # at 30 per second
    assert pipeline.exit_reason == "duration"


def test_an_unreadable_image_counts_as_captured_and_as_an_error(fakes, caplog: pytest.LogCaptureFixture) -> None:
    class Damaged(Source):
        name, grabs = "damaged", iter([SourceFrame(np.zeros((9, 9), np.uint8)), SourceFrame(None, file="b.jpg"), None])

        def read(self) -> SourceFrame | None:
            return next(self.grabs)

    pipeline = fakes.finish(fakes.pipeline(Damaged()))
    assert (pipeline.stats.captured, pipeline.stats.processed, pipeline.stats.errors) == (2, 1, 1)
    assert "b.jpg" in caplog.text


def test_frames_are_rotated_and_mirrored_first(fakes) -> None:
    seen: list[Frame] = []
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)

    class One(Source):
        name, grabs = "one", iter([SourceFrame(image), None])

        def read(self) -> SourceFrame | None:
            return next(self.grabs)

    publish = lambda frame, _result: seen.append(frame)  # noqa: E731
    fakes.finish(
        Pipeline(One(), fakes.Detector(), fakes.Classifier(), publish, StreamOptions(mirror=True, rotate_deg=90))
    )
    np.testing.assert_array_equal(seen[0].image, np.rot90(image, -1)[:, ::-1])
    with pytest.raises(ValueError, match="read-only"):
        seen[0].image[0, 0] = 1


def test_label_changes_are_counted_and_a_lost_face_is_none(fakes) -> None:
    class Changing(fakes.Classifier):
        def classify(self, image, squares):
            rows = np.tile(np.float32([0.94, *[0.01] * 6]), (len(squares), 1))
            return np.roll(rows, int(image.flat[0]) // 10 % 2, axis=1)  # another label every ten frames

    pipeline = fakes.finish(fakes.pipeline(fakes.Source(50), fakes.Detector(faces=2), Changing()))
    assert pipeline.stats.label_changes == 2 * 4


def test_the_next_large_frame_waits_until_the_outputs_have_written_the_last(
    fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "IN_FLIGHT_BYTES", 1)
    held, read_while_held = [0], []

    def pending() -> int:
        if held[0]:
            held[0] -= 1  # looked at once more, and it is written
            return 1
        return 0

    source = fakes.Source(3, before=lambda _number: read_while_held.append(held[0]))
    running = fakes.pipeline(source, pending=pending)
    publish = running._publish

    def hold(frame: Frame, result: FrameResult) -> None:
        publish(frame, result)
        held[0] = 5

    running._publish = hold
    assert fakes.finish(running).stats.processed == 3
    assert read_while_held == [0, 0, 0, 0]
