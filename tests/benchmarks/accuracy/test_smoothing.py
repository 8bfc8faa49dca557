"""What is counted of labels that are smoothed in several ways."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.accuracy.smoothing import SETTINGS, Setting, delays, main, smoothed, switches
from benchmarks.harness.inputs import draw_clip
from fer_edge.demo.scene import expression_at
from fer_edge.results import Face, FrameResult

STEP = 1 / 30


def stream(happy: list[float]) -> list[FrameResult]:
    """A face that is happy with these probabilities, else sad, frame by frame."""
    return [
        FrameResult(number, number * STEP, True, (
            Face((0, 0, 50, 50), 0.9, "", 0.0, {"happy": value, "sad": 1 - value}, track_id=3),
        ))
        for number, value in enumerate(happy)
    ]  # fmt: skip


def labels(results: list[FrameResult]) -> list[str]:
    return [result.faces[0].emotion for result in results]


def test_settings_differ_in_one_thing_from_that_of_fer_edge() -> None:
    own = Setting()
    assert own in SETTINGS and len(set(SETTINGS)) == len(SETTINGS)
    for setting in SETTINGS:
        assert (
            sum(
                getattr(setting, name) != getattr(own, name)
                for name in ("smooth_s", "margin", "sure_margin", "evidence")
            )
            <= 1
        )


def test_no_smoothing_follows_each_frame_and_smoothing_does_not() -> None:
    flicker = stream([0.9, 0.1, 0.9, 0.1, 0.9])
    assert labels(smoothed(flicker, Setting(smooth_s=0.0), 0.5)) == ["happy", "sad", "happy", "sad", "happy"]
    assert labels(smoothed(flicker, Setting(), 0.5)) == ["happy"] * 5


def test_a_lead_holds_a_label_that_another_hardly_exceeds() -> None:
    close = stream([0.52] + [0.46] * 120)
    assert labels(smoothed(close, Setting(margin=0.0), 0.0))[-1] == "sad"
    assert labels(smoothed(close, Setting(margin=0.1), 0.0))[-1] == "happy"
    assert labels(smoothed(close, Setting(margin=0.0, evidence=2.0), 0.0))[-1] == "happy", "0.3 s and 0.6 s are needed"


@pytest.mark.parametrize(("margin", "turns"), [(0.0, 10), (0.2, 0)])
def test_turns_between_unsure_and_sure_are_counted(margin: float, turns: int) -> None:
    swinging = stream([0.7, *([0.88, 0.7] * 5)])
    given = smoothed(swinging, Setting(smooth_s=0.001, sure_margin=margin), 0.8)
    assert switches(given) == turns


def test_delays_begin_where_the_expression_changes() -> None:
    results = []
    for number in range(300):
        t = number / 30
        late = expression_at(max(0.0, t - 0.2))  # what a label that is 0.2 s late says
        results.append(FrameResult(number, t, True, (Face((0, 0, 9, 9), 0.9, late, 0.9, {late: 0.9}),)))
    found, named = delays(results)
    assert len(found) == 7 and np.allclose(found, 0.2, atol=STEP)
    assert 0.8 < named < 0.9
    wrong = [FrameResult(result.frame, result.t, True, ()) for result in results]
    assert np.isinf(delays(wrong)[0]).all() and delays(wrong)[1] == 0


def test_the_command_shows_a_row_per_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.accuracy.smoothing.CYCLE_S", 1.0)  # a part of the cycle, for speed
    clip = draw_clip(tmp_path / "drawn.mkv", 20)
    done = CliRunner().invoke(main, [str(clip)])
    assert done.exit_code == 0, done.output
    assert sum(str(setting) in done.output for setting in SETTINGS) == len(SETTINGS)
