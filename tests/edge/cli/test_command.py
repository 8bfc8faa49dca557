import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.cli import commands as cli
from fer_edge.cli.options import OutputOptions, RunOptions, run_options
from fer_edge.detectors import DEFAULT_MIN_FACE_PX
from fer_edge.pipeline.options import StreamOptions
from fer_edge.privacy.modes import Aggregation
from fer_edge.serve.options import ConnectOptions
from fer_edge.sinks.rotation import Rotation
from fer_edge.sources.reconnect import ReconnectPolicy
from fer_models import default_model

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def no_tuned_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")


def test_the_demo_gives_data_video_and_report(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge(
        "--source", "demo:320x240", "--headless", "--max-frames", "25", "--json", "-", "--csv", "out.csv",
        "--output", "out.mp4", "--report", "out.json", "--verbose",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]  # results and nothing else
    assert [line["frame"] for line in lines] == list(range(25))
    faces = sum(len(line["faces"]) for line in lines)
    assert faces >= 20
    assert len((tmp_path / "out.csv").read_text().splitlines()) == faces + 1
    video, frames = cv2.VideoCapture(str(tmp_path / "out.mp4")), 0
    while video.grab():
        frames += 1
    assert frames == 25
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["frames"] == {"captured": 25, "processed": 25, "dropped": {}, "errors": 0, "in_flight": 0}
    assert report["exit_reason"] == "max frames"
    assert report["sinks"]["json"] == {"written": 25, "lost": 0}
    assert "25 captured = 25 processed" in done.stderr


def test_results_name_their_image_and_an_unreadable_image_is_an_error(
    fer_edge: Run, tmp_path: Path, face_image: np.ndarray
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        cv2.imwrite(str(tmp_path / "in" / name), face_image)
    (tmp_path / "in" / "b.png").write_text("broken")
    done = fer_edge("--source", "in", "--json", "-", "--report", "r.json", "--output", "out")
    assert done.returncode == 1
    assert done.stderr.endswith("fer-edge: in: 1 of 3 images could not be read\n")
    assert [json.loads(line)["file"] for line in done.stdout.splitlines()] == ["in/a.png", "in/c.png"]
    frames = json.loads((tmp_path / "r.json").read_text())["frames"]
    assert (frames["captured"], frames["processed"], frames["errors"]) == (3, 2, 1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_an_image_is_one_sentence_on_stdout(fer_edge: Run, tmp_path: Path, face_image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros_like(face_image))
    done = fer_edge("a.png", "--output", "out.png", "--json", "out.jsonl", "--report", "out.json")
    assert re.fullmatch(r"a\.png: 1 face: [a-z]+ \d+ %\n", done.stdout), done.stdout
    assert done.stderr == "written to out.png, out.jsonl, out.json\n"
    assert json.loads((tmp_path / "out.json").read_text())["summary"]["rows"] == 1
    done = fer_edge("b.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "b.png: no face found\n", "")
    done = fer_edge("a.png", "--verbose")
    assert done.stdout.startswith("a.png: 1 face: ")
    assert "1 captured = 1 processed" in done.stderr


def test_images_are_a_sentence_each_and_then_summed_up(fer_edge: Run, tmp_path: Path, face_image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros_like(face_image))
    (tmp_path / "c.png").write_text("broken")
    done = fer_edge("*.png")
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == ["a.png", "b.png"]
    for part in ("\n  1 face; 1 of 2 images without a face\n", "100 %", "2 of 3 images, 1 unreadable\n"):
        assert part in done.stderr
    assert "p50" not in done.stderr


def test_sentences_go_to_stderr_if_data_goes_to_stdout(fer_edge: Run, tmp_path: Path, face_image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    for option in ("--json", "--csv"):
        done = fer_edge("a.png", option, "-")
        assert "1 face" not in done.stdout
        assert done.stderr.startswith("a.png: 1 face: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
def test_sentences_that_can_not_be_written_are_an_error(model: Path, tmp_path: Path, face_image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    command = [sys.executable, "-m", "fer_edge", "--model", str(model), "a.png", "--headless"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("stdout failed and is abandoned: No space left on device") == 1


def test_a_closed_stdout_leaves_the_sentence_to_stderr(model: Path, tmp_path: Path, face_image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    command = f"{sys.executable} -m fer_edge --model {model} a.png --headless >&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.startswith("a.png: 1 face: ")


def test_the_end_of_a_run_says_what_was_seen_and_where_it_is(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge("demo:320x240", "--headless", "--max-frames", "20", "--json", "o.jsonl", "--report", "o.json")
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"demo:320x240  max frames after \d+\.\d s", lines[0])
    assert lines[1].startswith("  1 face")
    assert re.fullmatch(r"  [a-z]+ +0\.\d s  100 %  █+", lines[2])
    assert lines[3:5] == ["  json       o.jsonl: 20 frames", "  report     o.json"]
    assert re.fullmatch(r"  rate       [\d.]+ frames/s; 20 frames", lines[5])
    assert len(lines) == 6
    summary = json.loads((tmp_path / "o.json").read_text())["summary"]
    assert (summary["frames"], summary["faces"], summary["most_faces"]) == (20, 1, 1)
    assert [track["id"] for track in summary["tracks"]] == [0]


def test_results_of_a_file_have_the_time_of_day_from_its_start(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge(
        "demo:160x160", "--headless", "--max-frames", "2", "--json", "-", "--csv", "out.csv",
        "--start-time", "2026-05-01T14:00:00+02:00",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    times = [json.loads(line)["time"] for line in done.stdout.splitlines()]
    assert times == ["2026-05-01T12:00:00.000Z", "2026-05-01T12:00:00.033Z"]
    with (tmp_path / "out.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head[-1] == "time"
    assert {row[-1] for row in rows} <= set(times)
    assert "--start-time" not in done.stderr
    done = fer_edge("demo:160x160", "--headless", "--max-frames", "1", "--start-time", "2126-05-01T14:00")
    assert "--start-time has no time zone: taken as local time, 2126-05-01T14:00" in done.stderr
    assert "2126-05-01T14:00:00 is in the future" in done.stderr


def test_images_take_no_start_time(fer_edge: Run, tmp_path: Path, face_image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), face_image)
    for source in ("a.png", "."):
        done = fer_edge(source, "--headless", "--csv", "out.csv", "--start-time", "2026-05-01T12:00Z")
        expected = f"fer-edge: {source} holds single images, which --start-time can't time: leave it out\n"
        assert (done.returncode, done.stderr) == (1, expected)
        assert not (tmp_path / "out.csv").exists()


def test_rows_of_images_name_their_file_and_number_their_own_faces(
    fer_edge: Run, tmp_path: Path, face_image: np.ndarray
) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), face_image)
    done = fer_edge("*.png", "--headless", "--csv", "-")
    assert done.returncode == 0, done.stderr
    head, *rows = csv.reader(done.stdout.splitlines())
    assert head[-1] == "file"
    assert [(row[2], row[-1]) for row in rows] == [("0", "a.png"), ("0", "b.png")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--source", "missing.mp4", "--json", "old", "--overwrite"),
        ("--source", "text.mp4", "--csv", "old", "--overwrite"),
        ("--camera", "63", "--report", "old", "--overwrite"),
        ("--source", "demo:", "--json", "old"),
        ("--source", "demo:", "--detector", "yunet", "--json", "old", "--overwrite"),
        ("--source", "demo:", "--model", "text.mp4", "--json", "old", "--overwrite"),
    ],
)
def test_a_run_that_can_not_start_prints_one_line_and_leaves_the_old_output(
    fer_edge: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "text.mp4").write_text("one line\n" * 300)
    done = fer_edge(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"fer-edge: [^\n]+\n", done.stderr), done.stderr
    assert (tmp_path / "old").read_text() == "old"


def invoke(*arguments: str) -> tuple[int, str]:
    """Run the command in this process; only for what ends before cv2 is needed."""
    runner = CliRunner()
    result = runner.invoke(cli.edge, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--camera", "0", "--source", "demo:"), "--source"),
        (("--camera", "x"), "--camera"),
        (("--camera", "-1"), "--camera"),
        (("--source", ""), "empty"),
        (("--threads", "0"), "1 to 64"),
        (("--max-frames", "0"), "--max-frames"),
        (("--duration", "nan"), "--duration"),
        (("--source", "demo:", "--start-time", "garbage"), "2026-05-01T14:30"),
        (("--source", "demo:", "--start-time", "12345-01-01"), "1900 to 2999"),
        (("--source", "demo:", "--start-time", "9999-12-31T23:59:59"), "1900 to 2999"),
        (("--start-time", "2026-05-01"), "live source"),
        (("a.mp4", "b.mp4", "--start-time", "2026-05-01"), "the time of one video"),
        (("rtsp://user:secret@host/", "--start-time", "2026-05-01"), "live source"),
        (("demo:", "--model", "m.onnx", "--precision", "fp32"), "leave it out with --model"),
        (("--rotate", "45"), "--rotate"),
        (("--camera-size", "640"), "640x480"),
        (("--detector", "magic"), "luma"),
        (("--json", "-", "--csv", "-"), "share"),
        (("--json", "a", "--report", "./a"), "share"),
        (("--source", "in", "--output", "in/"), "share"),
        (("--report", "-"), "/dev/stdout"),
        (("--output", "-"), "/dev/stdout"),
        (("--bogus",), "--bogus"),
        (("stray", "--source", "demo:"), "stray"),
    ],
)
def test_a_wrong_command_line_has_exit_code_2(arguments: tuple[str, ...], expected: str) -> None:
    code, output = invoke(*arguments)
    assert code == 2
    assert expected in output


def test_usage_errors_are_one_line_too(fer_edge: Run) -> None:
    done = fer_edge("--threads", "many")
    assert done.returncode == 2
    assert re.fullmatch(r"fer-edge: [^\n]+--threads[^\n]+\n", done.stderr)


def test_help_fits_a_terminal_and_shows_no_ranges() -> None:
    code, output = invoke("--help")
    assert code == 0
    assert max(map(len, output.splitlines())) <= 80
    assert "<=" not in output
    assert ">=" not in output
    for option in ("--camera", "--source", "--json", "--report", "--rotate", "--list-cameras", "--overwrite"):
        assert option in output


def test_every_option_fills_a_field_of_the_run_options_or_is_used_by_the_command() -> None:
    groups = (RunOptions, StreamOptions, OutputOptions, ConnectOptions, Aggregation)
    fields = {name for group in groups for name in group.__annotations__}
    parameters = {param.name for param in cli.edge.params if param.expose_value}
    assert parameters - fields == {"camera", "source", "precision", "list_cameras"}
    assert fields - parameters == {"stream", "outputs", "connect", "interval_s"}


def test_defaults_are_those_of_the_python_api() -> None:
    options = run_options(**{name: value for name, value in parsed().items() if name != "list_cameras"})
    assert options.stream == StreamOptions()
    assert (options.sources, options.detector, options.min_face_px) == (("0",), "luma", DEFAULT_MIN_FACE_PX)
    assert options.model == default_model()
    assert options.stream.give_up_s == ReconnectPolicy().give_up_s
    assert options.outputs.keep_output == Rotation().keep


@pytest.mark.parametrize("flag", ["--no-track", "--no-follow"])
def test_no_follow_is_a_hidden_alias_of_no_track(flag: str) -> None:
    assert parsed()["track"] is True
    assert parsed(flag)["track"] is False
    assert "--no-follow" not in invoke("--help")[1]


@pytest.mark.parametrize(("arguments", "lossless"), [((), None), (("--realtime",), False), (("--lossless",), True)])
def test_realtime_and_lossless_set_one_option(arguments: tuple[str, ...], lossless: bool | None) -> None:
    assert parsed(*arguments)["lossless"] is lossless


def parsed(*arguments: str) -> dict[str, Any]:
    """The values of the command line."""
    return cli.edge.make_context("fer-edge", list(arguments)).params


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_run_with_complete_outputs(tmp_path: Path, model: Path, number: int, code: int) -> None:
    command = [
        sys.executable, "-m", "fer_edge", "--model", str(model), "--source", "demo:160x160,endless", "--headless",
        "--json", "out.jsonl", "--output", "out.mp4", "--report", "out.json",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a job in the background, or of nohup, ignores it
    )  # fmt: skip
    lines, deadline = tmp_path / "out.jsonl", time.monotonic() + 40
    while not (lines.exists() and lines.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code, stderr
    assert stderr.splitlines()[-1] in ("fer-edge: interrupted", "fer-edge: terminated", "fer-edge: hung up")
    assert "" not in stderr.splitlines()
    report = json.loads((tmp_path / "out.json").read_text())
    frames = report["frames"]
    assert frames["in_flight"] == 0
    assert frames["captured"] == frames["processed"] + sum(frames["dropped"].values())
    assert [json.loads(line)["frame"] for line in lines.read_text().splitlines()] == list(range(frames["processed"]))
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).isOpened()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.jsonl", "out.mp4"]


def test_a_reader_that_closes_stdout_ends_the_run_without_an_error(tmp_path: Path, model: Path) -> None:
    command = [
        sys.executable, "-m", "fer_edge", "--model", str(model), "--source", "demo:160x160,endless", "--headless",
        "--json", "-", "--report", "out.json",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["frame"] == 0
        process.stdout.close()
        assert process.wait(40) == 0
    assert json.loads((tmp_path / "out.json").read_text())["exit_reason"] == "stdout closed"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
def test_a_report_that_could_not_be_written_is_not_said_to_be(fer_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 48 48 255\n" + bytes(48 * 48))
    done = fer_edge("a.pgm", "--report", "/dev/full")
    assert done.returncode == 1
    assert done.stderr == "fer-edge: /dev/full can't be written: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110
def test_a_full_disk_ends_one_output_but_not_the_run(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge(
        "--source", "demo:160x160", "--headless", "--max-frames", "8", "--json", "/dev/full", "--csv", "out.csv",
        "--report", "out.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("No space left on device") == 1
    sinks = json.loads((tmp_path / "out.json").read_text())["sinks"]
    assert sinks == {"json": {"written": 0, "lost": 8}, "csv": {"written": 8, "lost": 0}}


def test_a_source_with_nothing_readable_leaves_nothing_behind(fer_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "broken" / name).write_text("x")
    (tmp_path / "old.csv").write_text("old")
    for _ in range(2):  # the first one leaves nothing in the way of the second
        done = fer_edge(
            "--source",
            "broken",
            "--headless",
            "--json",
            "o.jsonl",
            "--output",
            "images",
            "--csv",
            "old.csv",
            "--overwrite",
        )
        assert done.returncode == 1
        assert "none of its 2 images can be read" in done.stderr.splitlines()[-1]
        assert "source lost" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "old.csv"]


def test_a_command_may_skip_the_interpreter_shutdown() -> None:
    script = (
        "import atexit, sys, click\n"
        "from fer_edge.console import skip_interpreter_shutdown, run_main\n"
        "atexit.register(print, 'during the shutdown')\n"
        "if len(sys.argv) > 1: skip_interpreter_shutdown()\n"
        "run_main(click.Command('job', callback=lambda: print('done')), 'job', [])\n"
    )
    for more, shown in (([], "done\nduring the shutdown\n"), (["skip"], "done\n")):
        ran = subprocess.run([sys.executable, "-c", script, *more], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (0, shown)
