"""The contestants of `serving` run: frames are processed, and a viewer gets images."""

from pathlib import Path

from benchmarks.harness.inputs import draw_clip
from benchmarks.harness.results import Results
from benchmarks.speed.serving import ALONE, BASELINE, ONE, VIEWERS, Served, add_results, one_pass
from fer_edge.detectors import open_detector
from fer_edge.network.classifier import Classifier
from fer_models import default_model


def test_only_a_viewer_causes_images(tmp_path: Path) -> None:
    clip, detector, classifier = (
        draw_clip(tmp_path / "clip.mkv", 75),
        open_detector("luma"),
        Classifier(default_model()),
    )
    none, one = (one_pass(clip, detector, classifier, False, VIEWERS[name]) for name in (ALONE, ONE))
    assert none.jpegs_per_s == 0 < one.jpegs_per_s
    assert none.cpu_ms > 0
    assert 0 <= none.own_percent < one.own_percent


def test_the_table_holds_ratios_of_the_same_round() -> None:
    results = Results("serving", "?")
    add_results(results, "at full speed", {
        BASELINE: [Served(10, 0, 0, 1), Served(20, 0, 0, 1)], ALONE: [Served(10, 1, 0, 1), Served(22, 1, 0, 1)],
    })  # fmt: skip
    [ratio] = [figure for figure in results.figures if figure.ratio]
    assert (ratio.median, ratio.samples) == (1.05, 2)
