"""The command's options for detection rate, tracking and smoothing, seen from outside."""

import itertools
import json
from pathlib import Path

import pytest

DEMO = ("--source", "demo:160x160", "--max-frames", "13", "--json", "out.jsonl", "--report", "report.json")


@pytest.fixture
def run(fer_edge, tmp_path: Path):
    def run(*arguments: str) -> tuple[list[dict], dict]:
        ran = fer_edge(*DEMO, *arguments, "--overwrite")
        assert ran.returncode == 0, ran.stderr
        lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        return lines, json.loads((tmp_path / "report.json").read_text())

    return run


def test_detect_hz_is_in_media_time_and_faces_are_tracked_in_between(run) -> None:
    lines, _report = run("--detect-hz", "5")
    assert [line["frame"] for line in lines if line["detected"]] == [0, 6, 12]
    assert all(line["faces"] for line in lines)
    assert {face["id"] for line in lines for face in line["faces"]} == {0}
    boxes = [line["faces"][0]["box"] for line in lines[:6]]
    assert len({tuple(box) for box in boxes}) > 1, "the demo's face moves, and its box with it"
    assert len({line["faces"][0]["score"] for line in lines[:6]}) == 1, "the score is the last detection's"


def test_labels_are_smoothed_and_faces_classified_on_every_frame_by_default(run) -> None:
    def neutral(*arguments: str) -> list[float]:
        return [line["faces"][0]["probabilities"]["neutral"] for line in run(*arguments)[0]]

    def spread(values: list[float]) -> float:
        return sum(abs(one - other) for one, other in itertools.pairwise(values))

    rough = neutral("--smooth", "0")
    assert spread(neutral()) < spread(rough)
    seldom = neutral("--smooth", "0", "--detect-hz", "1", "--classify-interval", "200")
    assert len(set(seldom)) <= 3 < len(set(rough)), "at 0, 0.2 and 0.4 s"


def test_realtime_counts_the_dropped_frames(run) -> None:
    lines, report = run("--realtime")
    frames = report["frames"]
    assert frames["captured"] == 13 == frames["processed"] + sum(frames["dropped"].values())
    assert len(lines) == frames["processed"]
    assert report["seconds"] >= 0.4


@pytest.mark.parametrize(
    ("option", "value"),
    [("--detect-hz", "0"), ("--detect-hz", "fast"), ("--classify-interval", "-1"), ("--smooth", "nan"),
     ("--give-up", "0"), ("--detect-size", "10"), ("--precision", "int4")],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_one_line(fer_edge, option: str, value: str) -> None:
    ran = fer_edge("--source", "demo:", option, value)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert option in ran.stderr
