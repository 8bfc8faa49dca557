"""The compared pipelines and loops."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.harness.inputs import draw_clip
from benchmarks.harness.results import Results
from benchmarks.harness.streams import Pass, loop_over, one_thread
from benchmarks.speed.pipeline import OURS, figures, full_speed, summary, tutorial
from fer_edge.detectors import open_detector
from fer_edge.errors import SourceError
from fer_edge.network.classifier import Classifier
from fer_models import default_model

from ..conftest import Ran, is_png


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("clip") / "drawn.mkv", 12)


def test_all_contestants_find_the_drawn_face_in_every_frame(clip: Path) -> None:
    detector, classifier = open_detector("haar"), Classifier(default_model())
    passes = [full_speed(clip, detector, classifier), one_thread(clip, detector, classifier), tutorial(clip, 1.1)]
    assert [each.faces_per_frame for each in passes] == [1.0, 1.0, 1.0]
    assert all(each.fps > 0 and each.cpu_ms > 0 for each in passes)


def test_a_loop_sees_every_frame_with_its_time(clip: Path) -> None:
    seen: list[float] = []

    def step(_frame: object, t: float) -> int:
        seen.append(round(t, 4))
        return len(seen) % 2

    assert loop_over(clip, step).faces_per_frame == 0.5
    assert seen == [round(index / 30, 4) for index in range(12)]


def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("nothing")
    with pytest.raises(SourceError, match=r"x\.mp4 gave 0 frames"):
        loop_over(tmp_path / "x.mp4", lambda *_: 0)


def test_ratios_and_delays_are_of_the_right_runs() -> None:
    rates = {OURS: 30.0, "one thread": 20.0, "tutorial loop": 15.0, "tutorial loop, step 1.1": 10.0}
    fast = {name: [Pass(fps, 5.0, 6.0, 1.0, 2.0)] for name, fps in rates.items()}
    live = {OURS: [Pass(30.0, 9.0, 10.0, 1.0, 2.0)]}
    found = {item.name: item.median for item in figures("c", fast, live)}
    assert found[f"{OURS} / one thread, c"] == 1.5
    assert found[f"{OURS} / tutorial loop, c"] == 2
    assert found[f"{OURS}: delay p50, c"] == 9
    assert found["one thread: delay p50, c"] == 5
    rows = {row[0]: row for row in summary("c", fast, live).rows}
    assert rows[OURS][1:4] == ("30.0", "2.00", "9.00")


def test_results_name_the_clip_and_not_its_folder(run_benchmark: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run_benchmark("speed.pipeline", tmp_path / "absent.mp4")
    assert ran.code == 1
    assert "is not a file" in ran.stderr
    assert Results("pipeline", "").to_json()["benchmark"] == "pipeline"


@pytest.mark.slow
def test_the_benchmark_lets_all_take_turns(run_benchmark: Callable[..., Ran], clip: Path) -> None:
    ran = run_benchmark("speed.pipeline", clip, "--rounds", 1)
    assert ran.code == 0, ran.stderr
    assert set(ran.content["values"]["clips"]) == {"drawn.mkv"}
    assert str(clip.parent) not in ran.json_file.read_text()
    assert is_png(ran.plot)
