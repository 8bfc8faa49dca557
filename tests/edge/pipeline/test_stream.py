"""Stream options: lossless or newest frame, detection at its own rate, faces tracked in between."""

import threading
import time

import numpy as np
import pytest

from fer_edge.pipeline.options import Schedule, StreamOptions
from fer_edge.sources.base import Source, SourceFrame

pytestmark = pytest.mark.usefixtures("no_threads_left")
WALL = np.random.default_rng(0).integers(0, 255, (12, 16), dtype=np.uint8).repeat(5, axis=0).repeat(5, axis=1)


class Still(Source):
    """The same image, `fps` times per second of media time."""

    name = "still"

    def __init__(self, frames: int, fps: float = 30.0) -> None:
        self.times = iter([number / fps for number in range(frames)])

    def read(self) -> SourceFrame | None:
        t = next(self.times, None)
        return None if t is None else SourceFrame(WALL, media_time_s=t)


@pytest.mark.parametrize(("hz", "runs"), [(5, 10), (25, 50), (30, 60), (1000, 60), (0.1, 1), (None, 60)])
def test_the_detector_is_due_at_its_rate_on_average(hz: float | None, runs: int) -> None:
    schedule = Schedule(hz)
    due = [frame for frame in range(60) if schedule.is_due(frame / 30)]
    assert len(due) == runs
    assert due[0] == 0


def test_a_schedule_survives_a_gap_and_a_clock_that_goes_back() -> None:
    schedule = Schedule(5)
    assert [schedule.is_due(t) for t in (0.0, 0.1, 9.0, 9.1, 9.2, 1.0, 1.1, 1.2)] == [
        True, False, True, False, True, True, False, True,
    ]  # fmt: skip


def test_faces_are_tracked_between_detections_and_results_say_so(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(Still(61), options=StreamOptions(detect_hz=5)))
    detected = [result.frame for result in fakes.published if result.detected]
    assert detected == list(range(0, 61, 6))
    assert pipeline.stats.detect_rate.count == len(detected), "fps.detect counts runs of the detector"
    assert pipeline.stats.processed == 61
    assert {tuple(face.track_id for face in result.faces) for result in fakes.published} == {(0,)}


def test_without_a_rate_every_frame_is_detected(fakes) -> None:
    fakes.finish(fakes.pipeline(Still(20)))
    assert all(result.detected for result in fakes.published)


@pytest.mark.parametrize("track", [True, False])
def test_a_detector_that_misses_frames_loses_a_face_only_without_tracking(fakes, track: bool) -> None:
    class Blinking(fakes.Detector):
        runs = 0

        def detect(self, image):
            self.runs += 1
            return super().detect(image) if self.runs < 15 or self.runs % 3 else []

    pipeline = fakes.finish(fakes.pipeline(Still(60), Blinking(), options=StreamOptions(track=track)))
    without = [result.frame for result in fakes.published if not result.faces]
    assert bool(without) is not track
    assert (pipeline.stats.tracks == 1) is track


def test_a_face_is_classified_once_per_interval(fakes) -> None:
    classifier = fakes.Classifier()
    fakes.finish(fakes.pipeline(Still(31), None, classifier, options=StreamOptions(classify_interval_s=0.2)))
    assert len([batch for batch in classifier.batches if batch]) == 6  # at 0, 0.2, … 1.0 s


def test_the_age_of_a_label_counts_from_the_capture_of_its_frame(fakes) -> None:
    class Late(Still):
        """Frames captured 0.1 s apart, the first one 5 s ago."""

        def read(self) -> SourceFrame | None:
            grab = super().read()
            if grab is None or grab.media_time_s is None:
                return grab
            return SourceFrame(grab.image, grab.media_time_s, captured_at=started - 5 + grab.media_time_s)

    started = time.monotonic()
    fakes.finish(fakes.pipeline(Late(5, fps=10), options=StreamOptions(classify_interval_s=10)))
    elapsed_ms = 1000 * (time.monotonic() - started)
    ages = [result.faces[0].age_ms for result in fakes.published]
    assert all(5000 <= age <= 5000 + elapsed_ms for age in ages), "all show the first frame's label"


def test_a_file_in_real_time_drops_frames_that_the_detector_has_no_time_for(fakes) -> None:
    slow = fakes.Detector(before=lambda _number: time.sleep(0.1))
    started = time.monotonic()
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(20), slow, options=StreamOptions(lossless=False)))
    assert time.monotonic() - started >= 19 / 30, "not faster than it was filmed"
    stats = pipeline.stats
    assert stats.captured == 20
    assert pipeline.dropped["newer_frame"] > 0
    assert stats.captured == stats.processed + pipeline.dropped.total()
    assert [result.t for result in fakes.published] == [pytest.approx(result.frame / 30) for result in fakes.published]


def test_duration_is_media_time_for_a_file_in_real_time(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(10**6), options=StreamOptions(lossless=False, duration_s=0.2)))
    assert pipeline.stats.captured == 6
    assert pipeline.exit_reason == "duration"


def test_lossless_processes_every_frame_of_a_live_source(fakes) -> None:
    slow = fakes.Detector(before=lambda _number: time.sleep(0.002))
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(50, live=True), slow, options=StreamOptions(lossless=True)))
    assert [result.frame for result in fakes.published] == list(range(50))
    assert not pipeline.dropped


def test_separate_images_are_all_detected_and_share_no_face(fakes) -> None:
    source = Still(4)
    source.image_count = 4
    pipeline = fakes.finish(fakes.pipeline(source, options=StreamOptions(detect_hz=0.1)))
    assert [face.track_id for result in fakes.published for face in result.faces] == [0, 0, 0, 0]
    assert pipeline.stats.tracks == 4
    assert all(result.detected for result in fakes.published)
    assert pipeline.stats.tracks == 4


def test_gray_frames_stay_gray_and_are_not_copied(fakes) -> None:
    seen, given = [], []

    class Looking(fakes.Detector):
        needs_color = True

        def detect(self, image):
            seen.append(image)
            return super().detect(image)

    class Reading(fakes.Classifier):
        def classify(self, image, squares):
            given.append(image)
            return super().classify(image, squares)

    fakes.finish(fakes.pipeline(Still(2), Looking(), Reading()))
    assert all(np.shares_memory(image, WALL) for image in (*seen[1:], *given))


def test_stop_does_not_wait_for_the_next_frame_of_a_file_in_real_time(fakes) -> None:
    pipeline = fakes.pipeline(Still(3, fps=0.001), options=StreamOptions(lossless=False))
    pipeline.start()
    threading.Timer(0.05, pipeline.stop, ["interrupted"]).start()
    assert pipeline.wait(20)
    pipeline.release()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotate_deg": 45}, {"camera_size": (640,)}, {"camera_size": (0, 480)}, {"detect_hz": 0.0}, {"give_up_s": -1},
        {"max_frames": 0}, {"duration_s": float("nan")}, {"classify_interval_s": -0.1}, {"smooth_s": float("nan")},
    ],
)  # fmt: skip
def test_an_option_out_of_range_is_refused_by_its_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamOptions(**wrong)  # type: ignore[arg-type]
