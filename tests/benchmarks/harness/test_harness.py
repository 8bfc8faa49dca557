"""Jobs that take turns, noise, figures, results and tables."""

import itertools
import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.harness.options import check_outputs, results_command, yunet_option
from benchmarks.harness.plots import new_figure
from benchmarks.harness.results import Figure, Results, arguments_without_folders, figure, figure_table
from benchmarks.harness.tables import Table, number
from benchmarks.harness.timing import NoiseProbe, interleave, median_time, noise_line, ratios
from fer_edge.errors import OutputError

from ..conftest import is_png


def test_a_first_round_warms_up_and_every_other_round_runs_backwards() -> None:
    order: list[str] = []
    counts = iter(range(100))

    def job(name: str) -> float:
        order.append(name)
        return float(next(counts))

    taken = interleave({"a": lambda: job("a"), "b": lambda: job("b")}, 3, NoiseProbe())
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert taken == {"a": [3.0, 4.0, 7.0], "b": [2.0, 5.0, 6.0]}


def test_a_figure_is_the_median_with_its_quartiles() -> None:
    made = figure("x", [4.0, 1.0, 3.0, 2.0, 5.0], "ms")
    assert (made.median, made.quartiles, made.samples) == (3.0, (2.0, 4.0), 5)


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("times", "verdict"),
    [([1.0] * 20, "quiet"), ([1.0] * 10 + [1.1] * 10, "uneasy"), ([1.0] * 10 + [1.5] * 10, "noisy")],
)
def test_noise_is_the_spread_of_the_probe(times: list[float], verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    probe = NoiseProbe()
    assert probe.noise() is None
    probe.times = times
    noise = probe.noise()
    assert noise is not None
    assert noise["verdict"] == verdict
    assert verdict in noise_line(noise)


def test_a_loaded_machine_is_noisy_even_if_the_probe_is_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0, 0.0, 0.0))
    probe = NoiseProbe()
    probe.times = [1.0] * 20
    noise = probe.noise()
    assert noise is not None
    assert noise["verdict"] == "noisy"


def test_the_probe_is_timed_in_every_round() -> None:
    probe = NoiseProbe()
    interleave({"a": lambda: 1.0}, 4, probe)
    assert len(probe.times) == 3 * 5


def test_interrupted_runs_do_not_count_if_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    times, switches = iter([9.0, 1.0, 8.0, 2.0, 3.0]), iter([0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    monkeypatch.setattr("benchmarks.harness.timing.elapsed_s", lambda _job: next(times))
    monkeypatch.setattr("benchmarks.harness.timing.involuntary_switches", lambda: next(switches))
    assert median_time(lambda: None, 3)() == 2.0


def test_if_every_run_is_interrupted_their_processor_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    switches, cpu_s = itertools.count(), itertools.count(step=0.5)
    monkeypatch.setattr("benchmarks.harness.timing.involuntary_switches", lambda: next(switches))
    monkeypatch.setattr("benchmarks.harness.timing.elapsed_s", lambda _job: 9.0)
    monkeypatch.setattr("benchmarks.harness.timing.time.process_time", lambda: next(cpu_s))
    assert median_time(lambda: None, 2)() == 0.5


def test_a_table_of_figures_begins_with_the_ratios() -> None:
    figures = [Figure("time", 1.0, (1.0, 1.0), 3, unit="ms"), Figure("a / b", 2.0, (2.0, 2.0), 3, ratio=True)]
    assert [row[0] for row in figure_table(figures).rows] == ["a / b", "time"]


def test_a_table_aligns_names_left_and_numbers_right() -> None:
    lines = str(Table("T", ("", "ms"), [("a", "1.0"), ("long", "10.0")], "note")).splitlines()
    assert lines == ["T", "         ms", "a       1.0", "long   10.0", "note"]


@pytest.mark.parametrize(
    ("value", "shown"), [(0.2345, "0.234"), (1.0, "1.00"), (12345.6, "12346"), (0.0001234, "0.00012"), (0.0, "0.00")]
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_command_line_is_shown_without_folders() -> None:
    assert (
        arguments_without_folders(["--data", "/home/me/fer2013.csv", "--rounds", "3", "--people=/home/me/people"])
        == "--data fer2013.csv --rounds 3 --people=people"
    )
    assert arguments_without_folders(["--peer", "zoo=/a/b.onnx,../c.onnx", "people/"]) == (
        "--peer zoo=b.onnx,c.onnx people/"
    )


def test_results_hold_what_the_report_needs() -> None:
    results = Results("x", "Why?", figures=[figure("a / b", [1.0], ratio=True)], tables=[Table("T", ("",), [("a",)])])
    results.skip("nothing")
    results.probe.take()
    content = results.to_json()
    assert content["figures"][0] | {"note": ""} == {
        "name": "a / b", "median": 1.0, "quartiles": [1.0, 1.0], "samples": 1, "ratio": True, "unit": "", "note": "",
    }  # fmt: skip
    assert content["skipped"] == ["nothing"]
    assert content["machine"]["numpy"] == np.__version__
    assert content["noise"]["samples"] == 3


def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    check_outputs(tmp_path / "x.json", tmp_path / "x.png")
    check_outputs(None, None)
    with pytest.raises(OutputError, match="is not a folder"):
        check_outputs(tmp_path / "absent" / "x.json", None)
    with pytest.raises(OutputError, match="is a folder"):
        check_outputs(None, tmp_path)


def test_a_figure_keeps_its_aim_or_misses_it() -> None:
    kept, missed = (figure("a / b", [1.2], ratio=True, bound=bound, target=1.0) for bound in (">=", "<="))
    assert (kept.met, kept.aim) == (True, "aim >= 1: met")
    assert missed.to_json() | {"name": "", "quartiles": []} == {
        "name": "", "median": 1.2, "quartiles": [], "samples": 1, "ratio": True, "unit": "", "note": "",
        "bound": "<=", "target": 1.0, "met": False,
    }  # fmt: skip
    assert "met" not in figure("a", [1.0]).to_json()


def test_a_results_command_prints_writes_and_draws(tmp_path: Path) -> None:
    @click.command()
    @yunet_option()
    @results_command(lambda results: new_figure(len(results.tables), 1))
    def measure(yunet: Path | None) -> Results:
        return Results("x", "Why?", tables=[Table("T", ("",), [(str(yunet),)])], values={"side": 1})

    json_file, plot = tmp_path / "x.json", tmp_path / "x.png"
    options = ["--json", str(json_file), "--plot", str(plot)]
    ran = CliRunner().invoke(measure, options, env={"FER_YUNET": "yunet.onnx"}, catch_exceptions=False)
    assert ran.exit_code == 0
    assert ran.output.startswith("Why?") and "yunet.onnx" in ran.output
    content = json.loads(json_file.read_text())
    assert (content["benchmark"], content["values"], content["tables"][0]["title"]) == ("x", {"side": 1}, "T")
    assert is_png(plot, 100)
    refused = CliRunner().invoke(measure, ["--json", str(tmp_path / "absent" / "x.json")])
    assert isinstance(refused.exception, OutputError)
