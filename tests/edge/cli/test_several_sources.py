import csv
import json
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
from fer_edge.guards.text import text_of_cell

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def photos(tmp_path: Path, face_image: np.ndarray) -> Path:
    """A folder with two images of one face, in the folder in which fer_edge runs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b one.png"):
        cv2.imwrite(str(folder / name), face_image)
    return folder


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("photos")
def test_a_source_can_be_given_without_an_option(fer_edge: Run, tmp_path: Path) -> None:
    plain = fer_edge("photos/a.png", "--json", "-", "--report", "a.json")
    named = fer_edge("--source", "photos/a.png", "--json", "-", "--report", "b.json")
    assert plain.returncode == named.returncode == 0

    def without_age(text: str) -> list[dict[str, Any]]:
        lines = json_lines(text)
        for face in (face for line in lines for face in line["faces"]):
            del face["age_ms"]
        return lines

    assert without_age(plain.stdout) == without_age(named.stdout)
    reports = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    assert list(reports[0]) == list(reports[1])
    assert reports[0]["source"] == "photos/a.png"
    assert "sources" not in reports[0]


@pytest.mark.usefixtures("photos")
def test_several_sources_share_data_and_report_and_each_counts_from_0(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge(
        "photos/a.png", "demo:320x240", "photos", "--headless", "--max-frames", "4",
        "--json", "-", "--csv", "out.csv", "--report", "out.json", "--output", "out", "--verbose",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [(line["file"], line["frame"], line["t"]) for line in json_lines(done.stdout)]
    assert [line[:2] for line in lines] == [
        ("photos/a.png", 0), *(("demo:320x240", frame) for frame in range(4)), ("photos/a.png", 0),
        ("photos/b one.png", 1),
    ]  # fmt: skip
    assert lines[1][2] == 0.0
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert {row["file"] for row in rows} == {"photos/a.png", "demo:320x240", "photos/b one.png"}
    assert {row["id"] for row in rows if row["file"] == "demo:320x240"} == {"0"}
    report = json.loads((tmp_path / "out.json").read_text())
    assert [source["source"] for source in report["sources"]] == ["photos/a.png", "demo:320x240", "photos"]
    assert [source["frames"]["processed"] for source in report["sources"]] == [1, 4, 2]
    assert report["frames"] == {"captured": 7, "processed": 7, "dropped": {}, "errors": 0, "in_flight": 0}
    assert report["sinks"]["json"] == report["sinks"]["output"] == {"written": 7, "lost": 0}
    assert report["failed_sources"] == 0
    assert [source["output"] for source in report["sources"]] == ["out/a.png", "out/demo_320x240.mp4", "out/photos"]
    assert done.stderr.count("processed +") == 1
    said = [line.partition(": ")[0] for line in done.stderr.splitlines() if ": 1 face: " in line]
    assert said == ["photos/a.png", "demo:320x240", "photos/a.png", "photos/b one.png"]
    assert [source["summary"]["frames"] for source in report["sources"]] == [1, 4, 2]
    assert report["summary"]["rows"] == sum(source["summary"]["rows"] for source in report["sources"]) == 7
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == {"a.png", "demo_320x240.mp4", "photos/a.png", "photos/b one.png"}


@pytest.mark.usefixtures("photos")
def test_the_report_of_several_sources_has_the_keys_of_one(fer_edge: Run, tmp_path: Path) -> None:
    fer_edge("photos/a.png", "--report", "one.json")
    fer_edge("photos/a.png", "photos/a.png", "--report", "two.json")
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert set(two) - set(one) == {"sources", "failed_sources", "not_started"}
    assert set(one) <= set(two)
    for key in ("frames", "fps", "latency_ms", "faces", "settings"):
        assert set(one[key]) == set(two[key])


@pytest.mark.usefixtures("photos")
def test_an_unreadable_source_among_several_is_one_line_and_the_others_go_on(fer_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("x")
    (tmp_path / "faces.csv").write_text("pixels\n0 0 0 0\n")
    (tmp_path / "empty").mkdir()
    done = fer_edge(
        "missing.mp4", "photos/a.png", "broken.jpg", "empty", "faces.csv", "photos/b one.png",
        "--headless", "--json", "-", "--report", "out.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert [line["file"] for line in json_lines(done.stdout)] == ["photos/a.png", "photos/b one.png"]
    for name in ("missing.mp4", "broken.jpg", "empty", "faces.csv"):
        assert len([line for line in done.stderr.splitlines() if line.startswith(f"fer-edge: {name}")]) == 1
    assert done.stderr.splitlines()[-1] == "fer-edge: 4 of 6 sources could not be read, see above"
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["failed_sources"] == 4
    assert [source["error"] is None for source in report["sources"]] == [False, True, False, False, False, True]


def test_if_no_source_can_be_read_the_old_outputs_stay(fer_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    done = fer_edge("a.mp4", "b\nc.jpg", "--json", "old", "--overwrite", "--report", "r.json", "--output", "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3
    assert (tmp_path / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_an_output_that_does_not_fit_the_source_leaves_the_others_as_they_were(fer_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    done = fer_edge("demo:160x160", "--output", "one.png", "--json", "old", "--overwrite")
    assert done.returncode == 1
    assert done.stderr.startswith("fer-edge: one.png is one image")
    assert (tmp_path / "old").read_text() == "old"
    missing = fer_edge("demo:160x160", "--output", "out", "--json", "nowhere/out.jsonl")
    assert missing.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.usefixtures("photos")
def test_a_source_that_is_given_twice_has_two_outputs(fer_edge: Run, tmp_path: Path) -> None:
    done = fer_edge("photos/a.png", "photos/a.png", "./photos/../photos/a.png", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-2.png", "a-3.png", "a.png"]


def test_an_output_never_replaces_a_source(fer_edge: Run, photos: Path) -> None:
    before = (photos / "a.png").read_bytes()
    done = fer_edge("photos/a.png", "photos/b one.png", "--output", "photos", "--overwrite")
    assert done.returncode == 1
    assert re.search(r"photos/a\.png is one of the sources: name another folder", done.stderr)
    assert (photos / "a.png").read_bytes() == before


def test_a_file_name_that_is_not_unicode_reaches_json_and_csv(fer_edge: Run, photos: Path, tmp_path: Path) -> None:
    name = "\udcff\n.png"
    try:
        (photos / "a.png").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    done = fer_edge(name, "photos/b one.png", "--headless", "--json", "out.jsonl", "--csv", "out.csv")
    assert done.returncode == 0, done.stderr
    assert [line["file"] for line in json_lines((tmp_path / "out.jsonl").read_text())] == [name, "photos/b one.png"]
    with (tmp_path / "out.csv").open(newline="") as file:
        assert [text_of_cell(row["file"]) for row in csv.DictReader(file)] == [name, "photos/b one.png"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("a.jpg", "--source", "b.jpg"), "a.jpg and --source exclude each other"),
        (("a.jpg", "--camera", "0"), "a.jpg and --camera exclude each other"),
        (("-",), "standard input"),
        (("--source", "-"), "standard input"),
        (("a.jpg", ""), "empty"),
        (("a.jpg", "0"), "0 is a live source"),
        (("rtsp://user:pass@host/", "a.jpg"), "is a live source"),
        (("a.jpg", "b.jpg", "--output", "x.mp4"), "name a folder"),
        (("a.jpg", "b.jpg", "--json", "b.jpg"), "share"),
    ],
)
def test_sources_that_do_not_go_together_are_refused(arguments: tuple[str, ...], expected: str) -> None:
    result = CliRunner().invoke(cli.edge, list(arguments))
    assert result.exit_code == 2
    assert expected in result.output
    assert "pass@" not in result.output


@pytest.mark.usefixtures("photos")
def test_a_signal_ends_the_whole_run_with_complete_outputs(tmp_path: Path, model: Path) -> None:
    command = [
        sys.executable, "-m", "fer_edge", "--model", str(model), "photos/a.png", "demo:160x160,endless", "photos",
        "--headless", "--json", "out.jsonl", "--output", "out", "--report", "out.json",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    lines, deadline = tmp_path / "out.jsonl", time.monotonic() + 40
    while not (lines.exists() and b"demo:" in lines.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 143, stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["exit_reason"] == "terminated"
    assert (report["source"], report["not_started"]) == ("3 sources", 1)
    assert "sources    1 not started" in stderr
    assert [source["exit_reason"] for source in report["sources"]] == ["end of source", "terminated"]
    assert len(json_lines(lines.read_text())) == report["frames"]["processed"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "demo_160x160_endless.mp4"]
    assert cv2.VideoCapture(str(tmp_path / "out" / "demo_160x160_endless.mp4")).isOpened()


def test_a_source_that_the_user_goes_back_to_counts_once(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_edge.cli import commands
    from fer_edge.cli.source_run import SourceRun
    from fer_edge.sinks.keys import Action

    execute, runs = SourceRun.execute, []

    def goes_back_once(run: SourceRun, attendants: object) -> Action:
        action = execute(run, attendants)
        runs.append(run)
        return Action.PREVIOUS if len(runs) == 2 else action

    monkeypatch.setattr(SourceRun, "execute", goes_back_once)
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    report = tmp_path / "r.json"
    arguments = ["demo:160x160", "demo:192x160", "--headless", "--max-frames", "4"]
    commands.edge.main([*arguments, "--model", str(model), "--report", str(report)], standalone_mode=False)
    written = json.loads(report.read_text())
    assert len(runs) == 4
    assert [part["source"] for part in written["sources"]] == ["demo:160x160", "demo:192x160"]
    assert written["frames"]["captured"] == 8
