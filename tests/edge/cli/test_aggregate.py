"""--aggregate: its options, and that nothing about single faces leaves a run."""

import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from fer_edge.cli import commands as cli
from fer_edge.cli.options import MAIN_OPTIONS, add_options, check_usage, run_options
from fer_edge.console import MainCommand
from fer_edge.framing import Image
from fer_edge.privacy.modes import Aggregation

Run = Callable[..., "subprocess.CompletedProcess[str]"]

AGGREGATE = ("--aggregate", "60s", "--aggregate-out", "-")
OF_A_FACE = re.compile(r'"(id|box|score|confidence|probabilities|age_ms|tracks|faces_seen|first_t|emotion|detected)"')


def refused(*arguments: str) -> str:
    """The one line that a wrong command line ends in."""
    done = CliRunner().invoke(cli.edge, list(arguments))
    assert done.exit_code == 2, done.output
    return done.output


@pytest.mark.parametrize(
    "value", ["60", "0s", "-1s", "1ms", "1e9s", "1e1s", "1.5s", "25h", "86401s", "s", "", "60 s s", "nan", "٦٠s"]
)
def test_an_interval_without_a_unit_or_out_of_range_is_a_usage_error(value: str) -> None:
    output = refused("demo:", f"--aggregate={value}", "--aggregate-out", "-")
    assert "is not a time from 1s to 24h in whole s, min or h, for example 60s" in output


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("60s", 60), ("1s", 1), ("5min", 300), ("5m", 300), ("1h", 3600), ("24H", 86_400), ("90 s", 90)],
)
def test_an_interval_is_given_in_seconds_minutes_or_hours(value: str, seconds: int) -> None:
    found = []

    @cli.click.command(cls=MainCommand)
    @add_options(MAIN_OPTIONS)
    def edge(**values: object) -> None:
        found.append(values)

    CliRunner().invoke(edge, ["demo:", "--aggregate", value, "--at-least", "5", "--aggregate-out", "-"])
    options = run_options(**{name: value for name, value in found[0].items() if name != "list_cameras"})
    assert options.aggregate == Aggregation(seconds, 5)
    assert options.headless, "no window, whatever the command line says"


@pytest.mark.parametrize("connection", [("--serve", "8080"), ("--mqtt", "mqtt://broker")])
def test_a_connection_may_be_all_that_publishes_the_counts(connection: tuple[str, str]) -> None:
    context = cli.edge.make_context("fer-edge", ["demo:", "--aggregate", "60s", *connection])
    check_usage(context, context.params)


@pytest.mark.parametrize("value", ["-1", "many", "2.5", "10001"])
def test_a_wrong_number_of_faces_is_a_usage_error(value: str) -> None:
    assert "is not a whole number from 0 to 10,000" in refused("demo:", *AGGREGATE, "--at-least", value)


@pytest.mark.parametrize(
    "other",
    [("--json", "x.jsonl"), ("--json", "-"), ("--csv", "x.csv"), ("--output", "x.mp4"), ("--analyze", "x.html")],
)
def test_outputs_about_single_faces_are_refused(other: tuple[str, str]) -> None:
    assert f"{other[0]} is about single faces, which --aggregate never reports" in refused("demo:", *AGGREGATE, *other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--aggregate", "60s"), "--aggregate needs --aggregate-out (a file, or - for stdout)"),
        (("--aggregate-out", "a.jsonl"), "--aggregate-out needs --aggregate, for example 60s"),
        (("--at-least", "3"), "--at-least needs --aggregate, for example 60s"),
        ((*AGGREGATE[:3], "x", "--report", "x"), "--report and --aggregate-out can't share x"),
        ((*AGGREGATE, "--rotate-output", "1MB"), "--rotate-output needs a file that it rotates"),
    ],
)
def test_half_of_the_options_and_shared_files_are_usage_errors(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused("demo:", *arguments)


def test_images_and_cropped_faces_have_no_time_to_count_by(fer_edge: Run, tmp_path: Path, face_image: Image) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    (tmp_path / "faces.csv").write_text("pixels\n" + " ".join(["90"] * 48 * 48) + "\n")
    for source, kind in (("a.png", "single images"), ("faces.csv", "cropped faces")):
        done = fer_edge(source, "--aggregate", "60s", "--aggregate-out", "out.jsonl")
        assert done.returncode == 1
        assert done.stdout == ""
        assert f"holds {kind}, which have no time: --aggregate is for cameras and videos" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_nothing_about_a_face_leaves_a_run(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge(
        "demo:320x240", "--aggregate", "1s", "--at-least", "1", "--aggregate-out", "out.jsonl", "--report", "r.json",
        "--verbose", "--max-frames", "75", "--min-face", "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["start_t"], line["frames"], line["partial"]) for line in lines] == [
        (0, 30, False), (1, 30, False), (2, 15, True),
    ]  # fmt: skip
    counts = [[*line["emotions"].values(), line["unsure"]] for line in lines]
    assert all(sum(one["rows"] for one in some) > 0 for some in counts)
    for line, some in zip(lines, counts, strict=True):
        assert sum(one["seconds"] for one in some) == pytest.approx(sum(one["rows"] for one in some) / 30, abs=0.01)
        assert line["faces"] == 1
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["summary"], report["faces"], report["fps"]["classify_faces"]) == (None, None, None)
    assert report["latency_ms"]["classify"]["p50"] is None
    assert report["frames"]["processed"] == 75
    assert report["sinks"] == {"aggregate": {"written": 75, "lost": 0, "intervals": 3, "withheld": 0}}
    assert report["settings"]["aggregate"] == {"interval_s": 1, "at_least": 1}
    for path in tmp_path.iterdir():
        assert OF_A_FACE.findall(path.read_text()) == [], path
    said = done.stdout + done.stderr
    assert re.findall(r"\bface|box|label|happy|neutral|surprise|unsure|classif", said) == []


def test_the_report_of_withheld_intervals_tells_nothing_about_them(fer_edge: Run, tmp_path: Path) -> None:
    arguments = ("--aggregate", "1s", "--aggregate-out", "-", "--max-frames", "45", "--verbose", "--report")
    with_face = fer_edge("demo:320x240", *arguments, "a.json")
    without = fer_edge("demo:320x240", *arguments, "b.json", "--min-score", "2")
    assert with_face.stdout == without.stdout
    assert re.sub(r"[\d,.]+|a.json|b.json", "", with_face.stderr) == re.sub(
        r"[\d,.]+|a.json|b.json", "", without.stderr
    )
    assert [json.loads(line) for line in with_face.stdout.splitlines()] == [
        {"schema": 1, "interval_s": 1, "start_t": start, "withheld": True} for start in (0, 1)
    ]
    assert "aggregate  stdout: 2 intervals, 2 of them withheld: fewer than 3 faces (--at-least)" in with_face.stderr
    reports = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    rates = {"fps", "latency_ms", "seconds", "peak_rss_mb", "machine", "settings"}
    assert [{key: value for key, value in report.items() if key not in rates} for report in reports] == [
        {key: value for key, value in reports[0].items() if key not in rates}
    ] * 2


def test_a_recording_with_a_start_time_is_cut_at_full_minutes(fer_edge: Run) -> None:
    arguments = ("--start-time", "2026-05-01T14:30:58.5+02:00", "--max-frames", "60", "--at-least", "0")
    done = fer_edge("demo:160x160", *arguments, "--aggregate", "1min", "--aggregate-out", "-")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["start_time"], line["frames"]) for line in lines] == [
        ("2026-05-01T12:30:00.000Z", 45), ("2026-05-01T12:31:00.000Z", 15),
    ]  # fmt: skip


def test_an_output_that_takes_no_line_ends_with_exit_code_1(fer_edge: Run) -> None:
    done = fer_edge("demo:160x160", "--max-frames", "5", "--aggregate", "60s", "--aggregate-out", "/dev/full")
    assert done.returncode == 1
    assert "--aggregate-out /dev/full failed and is abandoned: No space left on device" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("fer-edge: --aggregate-out failed, see above")


def test_several_sources_have_lines_with_their_names_and_no_sentence(fer_edge: Run, tmp_path: Path) -> None:
    arguments = ("--aggregate", "1s", "--at-least", "1", "--aggregate-out", "-", "--report", "r.json")
    done = fer_edge("demo:320x240", "demo:400x300", *arguments, "--max-frames", "12")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["file"], line["frames"]) for line in lines] == [("demo:320x240", 12), ("demo:400x300", 12)]
    assert re.findall(r"%|\bface", done.stderr) == []
    assert OF_A_FACE.findall((tmp_path / "r.json").read_text()) == []
    report = json.loads((tmp_path / "r.json").read_text())
    assert [source["summary"] for source in report["sources"]] == [None, None]


def test_a_report_on_request_and_a_signal_inside_an_interval(tmp_path: Path, model: Path) -> None:
    command = [
        sys.executable, "-m", "fer_edge", "--model", str(model), "demo:160x160,endless", "--aggregate", "1s",
        "--at-least", "0", "--aggregate-out", "out.jsonl", "--report", "out.json",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: (tmp_path / "out.jsonl").exists() and (tmp_path / "out.jsonl").stat().st_size > 0)
        process.send_signal(signal.SIGUSR1)
        wait_for((tmp_path / "out.json").exists)
        running = json.loads((tmp_path / "out.json").read_text())
        process.send_signal(signal.SIGTERM)
        stderr = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert process.returncode == 143, stderr
    assert (running["exit_reason"], running["summary"], running["faces"]) == ("running", None, None)
    assert running["sinks"]["aggregate"]["lost"] <= 256, "an interval under way is not lost"
    frames = [json.loads(line)["frames"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    report = json.loads((tmp_path / "out.json").read_text())
    assert sum(frames) == report["frames"]["processed"] == report["sinks"]["aggregate"]["written"]
    assert report["sinks"]["aggregate"] == {
        "written": sum(frames), "lost": 0, "intervals": len(frames), "withheld": 0,
    }  # fmt: skip


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
