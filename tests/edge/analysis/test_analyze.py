"""The command `fer-edge analyze`: the report, tables and summaries it writes, and what it refuses."""

import builtins
import html.parser
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest

from fer_edge.cli.commands import edge
from fer_edge.errors import DataError, MissingExtraError, OutputError
from tests.schemas import check

from .conftest import LABELS, line

VOID = {"meta", "br", "img", "path", "use"}


@pytest.fixture
def analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the command in the folder of the results."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> None:
        edge.main(["analyze", *map(str, arguments)], prog_name="fer-edge", standalone_mode=False)

    return run


def run_report(path: Path, labels: tuple[str, ...] = LABELS, **model: Any) -> Path:
    about = {"file": "a.onnx", "sha256": "00ff", "precision": "int8", "head": "people", "accuracy": None} | model
    emotions = {label: {"rows": 1, "share": 0.1, "seconds": 1.0} for label in labels}
    value = {
        "schema": 1, "source": "clip.mp4", "detector": "luma", "model": about, "settings": {"min_confidence": 0.5},
        "frames": {"captured": 100, "processed": 100}, "summary": {"emotions": emotions},
    }  # fmt: skip
    path.write_text(json.dumps(value))
    return path


CONFUSION = [[80, 10, 10], [20, 70, 10], [20, 20, 60]]


def changing(sad: float, seed: int) -> list[str]:
    """Five minutes of a face that is drawn anew each half second and is sad with probability `sad`."""
    states = np.random.default_rng(seed).random(600) < sad
    return [line(n, n / 10, ["sad" if states[n // 5] else "happy"]) for n in range(3000)]


class Checker(html.parser.HTMLParser):
    """Notes every element; fails on one that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "script" not in checker.seen
    assert all(link.startswith(("#", "data:image/png")) for link in checker.links)
    return checker


def test_the_report_is_one_file_with_every_section(analyze, results, tmp_path: Path) -> None:
    results()
    run_report(tmp_path / "faces.report.json", confusion=CONFUSION)
    analyze("faces.jsonl", "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    seen = checked(page).seen
    titles = ("Summary", "Shares and times", "Over time", "Face by face", "How often the network is wrong")
    for title in (*titles, "Network and settings", "Limits and law"):
        assert f">{title}</h2>" in page
    assert seen.count("svg") == 4
    assert seen.count("figure") == seen.count("figcaption") == 4
    assert "1 face was seen for 8.0\u00a0s in all" in page
    assert "Art. 5(1)(f)" in page
    assert "currentColor" in page and "#010203" not in page
    assert (tmp_path / "report.html").stat().st_mode & 0o077 == 0
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_a_long_run_has_a_heat_map(analyze, results, tmp_path: Path) -> None:
    results(lines=[line(n, n / 2, ["happy", "sad"]) for n in range(1500)])
    analyze("faces.jsonl", "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    checked(page)
    assert "Shares by minute" in page
    assert len(page) < 1_000_000


def test_a_run_of_years_has_a_heat_map_by_days(analyze, results, tmp_path: Path) -> None:
    analyze(str(results(lines=[line(0, 0.0, ["happy"]), line(1, 9e8, ["sad"])])), "--out", "report.html")
    assert "Shares by 70 days" in (tmp_path / "report.html").read_text()


def test_foreign_names_are_text(analyze, results, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>.jsonl".replace("/", "_")
    bad = "<img src=x onerror=alert(2)>\udcff.mp4"
    results(name, [line(n, n / 10, ["happy"], file=bad) for n in range(30)])
    analyze(name, "--out", "report.html", "--csv", "table.csv", "--parquet", "t.parquet")
    page = (tmp_path / "report.html").read_text()
    checked(page)
    assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;" in page
    assert pd.read_parquet(tmp_path / "t.parquet")["file"].iloc[0].startswith("<img")


def test_without_a_report_the_sections_say_so(analyze, results, tmp_path: Path) -> None:
    results()
    analyze("faces.jsonl", "--out", "report.html")
    assert (tmp_path / "report.html").read_text().count("Not known here.") == 2


def test_corrected_shares_stand_beside_the_counted_ones(analyze, results, tmp_path: Path) -> None:
    results()
    run_report(tmp_path / "other.json", confusion=CONFUSION)
    analyze("faces.jsonl", "--run-report", "other.json", "--json", "summary.json", "--out", "report.html")
    summary = json.loads((tmp_path / "summary.json").read_text())
    check(summary, "summary")
    correction = summary["correction"]
    assert sum(row["share"] for row in correction["shares"].values()) == pytest.approx(1.0, abs=1e-4)
    assert correction["shares"]["happy"]["counted"] == pytest.approx(0.5)
    assert any("too short" in warning for warning in correction["warnings"])
    assert "can&#x27;t be trusted" in (tmp_path / "report.html").read_text()


def test_the_table_can_be_read_back(analyze, results, tmp_path: Path) -> None:
    results(lines=[line(n, n / 10, ["happy"], time=f"2026-05-01T12:00:0{n}.250Z") for n in range(9)])
    analyze("faces.jsonl", "--csv", "table.csv", "--parquet", "table.parquet")
    parquet, table = pd.read_parquet(tmp_path / "table.parquet"), pd.read_csv(tmp_path / "table.csv")
    assert len(parquet) == len(table) == 9
    assert parquet["emotion"].to_list() == table["emotion"].to_list() == ["happy"] * 9
    assert table["time"].iloc[3] == "2026-05-01T12:00:03.250Z"
    assert list(parquet.columns) == list(table.columns)


def test_the_summary_goes_to_stdout(analyze, results, capsys: pytest.CaptureFixture[str]) -> None:
    results()
    analyze("faces.jsonl")
    text = capsys.readouterr().out
    assert text.startswith("1 face was seen for 8.0 s in all, over 9.9 s; 20 of 100 frames show no face.")
    assert re.search(r"^happy +50\.0 %", text, re.MULTILINE)


def test_results_without_a_face_have_a_report(analyze, results, tmp_path: Path) -> None:
    results(lines=[line(n, n / 10, []) for n in range(5)])
    analyze(
        "faces.jsonl", "--out", "report.html", "--json", "summary.json", "--csv", "table.csv", "--parquet", "t.parquet"
    )
    page = (tmp_path / "report.html").read_text()
    checked(page)
    assert "No face was seen in 5 frames" in page
    summary = json.loads((tmp_path / "summary.json").read_text())
    check(summary, "summary")
    assert summary["rows"] == 0


def test_a_csv_without_a_row_says_that_nobody_was_seen(analyze, results, capsys: pytest.CaptureFixture[str]) -> None:
    header = "frame,t,id,x,y,w,h,score,emotion,confidence,happy,sad,neutral\n"
    analyze(str(results("faces.csv", [header])))
    assert capsys.readouterr().out == "No face was seen.\n"


def test_few_images_are_said_to_be_few(analyze, results, capsys: pytest.CaptureFixture[str]) -> None:
    analyze(str(results(lines=[line(n, 0.0, ["happy"], file=f"{n}.jpg") for n in range(4)])))
    assert "so few images that the intervals may be too narrow" in capsys.readouterr().out


def test_images_have_no_timeline(analyze, results, tmp_path: Path) -> None:
    results(lines=[line(n, 0.0, ["happy", "sad"], file=f"{n}.jpg") for n in range(5)])
    analyze("faces.jsonl", "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    checked(page)
    assert "10 faces were seen in 5 images" in page
    assert "Over time" not in page and ">3.jpg</th>" in page


def test_two_runs_are_compared(analyze, results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results("a.jsonl", changing(0.2, seed=1))
    results("b.jsonl", changing(0.8, seed=2))
    analyze("--compare", "a.jsonl", "b.jsonl", "--out", "both.html", "--json", "both.json")
    found = json.loads((tmp_path / "both.json").read_text())
    check(found, "comparison")
    assert found["differences"]["sad"]["difference"] == pytest.approx(0.6, abs=0.08)
    assert found["differences"]["sad"]["clear"] and not found["differences"]["neutral"]["clear"]
    checked((tmp_path / "both.html").read_text())
    analyze("--compare", "a.jsonl", "b.jsonl")
    assert re.search(r"B shows .*[56]\d\.\d points more sad", capsys.readouterr().out)


def test_a_run_beside_itself_does_not_differ(analyze, results, capsys: pytest.CaptureFixture[str]) -> None:
    results("a.jsonl", changing(0.3, seed=3))
    analyze("--compare", "a.jsonl", "a.jsonl")
    assert "No difference is larger than chance explains." in capsys.readouterr().out


def test_damaged_lines_fail_after_the_report_is_written(analyze, results, tmp_path: Path) -> None:
    results(lines=[line(0, 0.0, ["happy"]), "oops\n", line(1, 0.1, ["sad"])])
    with pytest.raises(DataError, match="could not be read"):
        analyze("faces.jsonl", "--out", "report.html")
    assert "left out 1 line that could not be read (line 2)" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name the results"),
        (("faces.jsonl", "--compare", "a", "b"), "give no other results"),
        (("faces.jsonl", "--csv", "-", "--json", "-"), "can't share stdout"),
        (("faces.jsonl", "--out", "-"), "--out can't go to stdout"),
        (("faces.jsonl", "--out", "faces.jsonl", "--overwrite"), "is one of the results"),
        (("faces.jsonl", "--out", "x", "--json", "x"), "same file"),
    ],
)
def test_wrong_usage_is_explained(analyze, results, arguments: tuple[str, ...], says: str) -> None:
    results()
    with pytest.raises(click.UsageError, match=says):
        analyze(*arguments)


def test_a_folder_or_an_existing_file_as_output_is_refused(analyze, results, tmp_path: Path) -> None:
    results()
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(OutputError, match="is a folder"):
        analyze("faces.jsonl", "--out", tmp_path)
    with pytest.raises(OutputError, match="exists"):
        analyze("faces.jsonl", "--out", "there.html")
    assert (tmp_path / "there.html").read_text() == "mine"


def test_a_report_of_another_network_or_program_is_refused(analyze, results, tmp_path: Path) -> None:
    results()
    run_report(tmp_path / "other.json", labels=("bored", "awake"))
    with pytest.raises(DataError, match="bored"):
        analyze("faces.jsonl", "--run-report", "other.json")
    with pytest.raises(DataError, match="is not what fer-edge --report wrote"):
        analyze("faces.jsonl", "--run-report", "faces.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        analyze("faces.jsonl", "--run-report", tmp_path)


def test_the_report_of_a_run_with_aggregate_is_refused_as_such(analyze, results, tmp_path: Path) -> None:
    (tmp_path / "faces.report.json").write_text('{"schema": 1, "model": {}, "summary": null}')
    with pytest.raises(DataError, match="is of a run with --aggregate"):
        analyze(str(results()), "--run-report", "faces.report.json")
    analyze(str(results()), "--out", "report.html")  # found beside the results, but not theirs
    assert "The run&#x27;s report was not found" in (tmp_path / "report.html").read_text()


def test_a_missing_package_names_the_extra(analyze, results, monkeypatch: pytest.MonkeyPatch) -> None:
    results()
    real = builtins.__import__
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "matplotlib" else real)
    with pytest.raises(MissingExtraError, match=r"fer-edge\[analysis\]"):
        analyze("faces.jsonl")


def test_the_main_job_analyzes_its_own_run(fer_edge, tmp_path: Path) -> None:
    ran = fer_edge("demo:320x240", "--headless", "--max-frames", "20", "--json", "-", "--analyze", "page.html")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 20
    page = (tmp_path / "page.html").read_text()
    checked(page)
    assert "Emotions over time: demo:" in page and "Not known here" not in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_run_without_the_extra_does_not_start(fer_edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pandas' else real(name, *rest)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    ran = fer_edge("demo:", "--headless", "--analyze", "page.html")
    assert (ran.returncode, "fer-edge[analysis]" in ran.stderr) == (2, True)


def test_runs_are_listed_with_their_sources(analyze, results, tmp_path: Path) -> None:
    lines = [line(n, n / 10, ["happy"], file=name) for name in ("a.mp4", "b.mp4") for n in range(30)]
    results(lines=lines)
    analyze("faces.jsonl", "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    checked(page)
    assert "<td>a.mp4</td>" in page and "<td>b.mp4</td>" in page
    assert "run 2, face 0" in page


def test_rows_of_a_csv_of_face_pixels_are_images(analyze, results, tmp_path: Path) -> None:
    results(lines=[line(n, 0.0, ["happy"]) for n in range(4)])
    analyze("faces.jsonl", "--out", "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "4 faces were seen in 4 images" in page and ">row 4</th>" in page


def test_a_run_over_face_pixels_is_one_of_images(fer_edge, tmp_path: Path) -> None:
    pixels = " ".join(["90"] * 2304)
    (tmp_path / "faces.csv").write_text(f"pixels\n{pixels}\n{pixels}\n")
    ran = fer_edge("faces.csv", "--headless", "--analyze", "page.html")
    assert ran.returncode == 0, ran.stderr
    page = (tmp_path / "page.html").read_text()
    assert "2 faces were seen in 2 images" in page and "Over time<" not in page
