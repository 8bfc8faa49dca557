"""docs/benchmarks.md from results files, and what run_all starts."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.harness.results import Results, figure
from benchmarks.harness.tables import Table
from benchmarks.report import (
    changes,
    command_line,
    difference,
    main,
    markdown_table,
    module_of,
    pages,
    plain,
    read_runs,
    wrapped,
)
from benchmarks.run_all import BENCHMARKS, command, what_is_missing
from fer_edge.errors import DataError

MACHINE = {"cpu": "Some CPU", "cores": 2, "python": "3.11", "onnxruntime": "1.31", "opencv": "4.14", "numpy": "2.4"}


def a_run(ratio: float = 2.0) -> dict[str, Any]:
    results = Results("latency", "How long?", threads="One thread.")
    results.figures = [figure("a / b", [ratio], ratio=True), figure("a", [5.0], "ms")]
    results.tables = [Table("Times", ("", "ms"), [("a|b", "5.0")], "A note.")]
    results.values = {"ms": {"fer-edge, int8": {"1": 0.25}, "fer-edge, fp32": {"1": 0.75}}}
    results.skipped = ["compiled PyTorch"]
    return results.to_json() | {"machine": MACHINE, "arguments": "--rounds 3"}


def runtime() -> dict[str, Any]:
    results = Results("runtime", "How much?")
    results.figures = [figure("file throughput / bound", [0.99], ratio=True, target=0.9)]
    return results.to_json() | {"machine": MACHINE, "arguments": ""}


def write(folder: Path, **runs: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in runs.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def document(runs: dict[str, Any], plots: dict[str, str], again: dict[str, Any] | None) -> str:
    """All pages, one below the other."""
    return "\n".join(pages(runs, plots, again, Path("docs/benchmarks.md")).values())


def test_the_page_holds_scorecard_tables_conditions_and_what_was_left_out(tmp_path: Path) -> None:
    runs = read_runs(write(tmp_path, latency=a_run(), runtime=runtime()))
    page = document(runs, {"latency": "images/latency.png"}, None)
    for part in (
        "## Scorecard", "| network time per face, one thread | 0.250 ms | 0.750 ms |", "How long?", "A note.",
        "Some CPU, 2 cores", "![latency](images/latency.png)", "- compiled PyTorch", "One thread.",
        "python -m benchmarks.speed.latency --rounds 3\n", "aim >= 0.9: met", r"a\|b",
        "Not in these runs: accuracy, people, groups, pipeline, detector, footprint, training, serving, soak.",
    ):  # fmt: skip
        assert part in page
    assert page.index("# latency") < page.index("# runtime")


def test_the_first_page_is_a_scorecard_that_links_to_a_page_per_benchmark() -> None:
    found = pages({"latency": a_run(), "runtime": runtime()}, {}, {"latency": a_run()}, Path("docs/benchmarks.md"))
    names = ["benchmarks.md", *(f"benchmarks/{name}.md" for name in ("latency", "runtime", "others", "two-runs"))]
    assert [str(path.relative_to("docs")) for path in found] == names
    first = found[Path("docs/benchmarks.md")]
    assert "| [latency](benchmarks/latency.md) | How long? |" in first
    assert "A note." not in first
    assert found[Path("docs/benchmarks/latency.md")].startswith("# latency\n\n*How long?*")


def test_the_page_begins_with_a_warning_if_the_machine_was_noisy() -> None:
    noise = {"kernel": "k", "median_ms": 1.0, "p5": 1.0, "p95": 2.0, "slowest": 3.0, "samples": 9, "load_before": 9.0,
             "load_after": 9.0, "verdict": "noisy"}  # fmt: skip
    page = document({"latency": a_run() | {"noise": noise}, "runtime": runtime()}, {}, None)
    assert page.index("The machine was noisy during latency**") < page.index("## Scorecard")
    assert "noisy" not in document({"runtime": runtime()}, {}, None)


def test_a_pages_command_has_no_places_of_outputs_and_fits_the_page() -> None:
    words = "--json latency.json --plot latency.png " + "--batch 16 " * 20
    command = command_line("benchmarks.speed.latency", words)
    assert "json" not in command
    assert "plot" not in command
    assert command.count("--batch 16") == 20
    assert all(len(line) <= 100 for line in command.splitlines())
    assert all(line.endswith("\\") for line in command.splitlines()[:-1])


def test_heads_of_the_shipped_files_have_short_names() -> None:
    assert plain("Confusion of fer2013.int8.onnx people, FER+ majority") == "Confusion of people, FER+ majority"
    assert plain("recall, fer2013.onnx ferplus") == "recall, ferplus, fp32"
    assert plain("mine.onnx people") == "mine.onnx people"


def test_paragraphs_are_wrapped_and_nothing_else() -> None:
    kept = [
        "# A title " + "of words " * 20,
        "| a | b |\n| --- | --- |",
        "```sh\n" + "x" * 120 + "\n```",
        "- " + "a " * 80,
    ]
    page = wrapped("\n\n".join([*kept, "word " * 60, "<details><summary>" + "a " * 80 + "</summary>"]))
    blocks = page.split("\n\n")
    assert blocks[:4] == kept
    assert len(blocks[4].splitlines()) == 3
    assert all(len(line) <= 100 for line in blocks[4].splitlines())
    assert len(blocks[5].splitlines()) == 1


def test_aims_are_shown_and_missed_ones_are_on_the_first_page() -> None:
    slow = runtime()
    slow["figures"] = [
        figure("start / imports", [1.6, 1.7, 1.8], ratio=True, bound="<=", target=1.5).to_json(),
        figure("memory", [40.0], "MB", bound="<=", target=60).to_json(),
    ]
    found = pages({"runtime": slow}, {}, None, Path("docs/benchmarks.md"))
    page = found[Path("docs/benchmarks/runtime.md")]
    assert "| start / imports | 1.70 | 1.65 to 1.75 | <= 1.5 | **missed** |" in page
    assert "| memory | 40.0 MB | 40.0 to 40.0 | <= 60 | met |" in page
    first = found[Path("docs/benchmarks.md")]
    assert "**Aims missed in these runs**: runtime: start / imports 1.70 (aim <= 1.5)." in first
    assert (
        "missed" not in pages({"runtime": runtime()}, {}, None, Path("docs/benchmarks.md"))[Path("docs/benchmarks.md")]
    )


def test_published_figures_are_marked_and_carry_their_source(tmp_path: Path) -> None:
    page = document(read_runs(write(tmp_path, latency=a_run())), {}, None)
    row = next(line for line in page.splitlines() if "RAF-DB" in line)
    assert "†" in row
    assert "github.com/opencv/opencv_zoo" in row


def test_two_runs_are_compared_by_their_ratios(tmp_path: Path) -> None:
    first = read_runs(write(tmp_path / "1", latency=a_run(2.0), runtime=runtime()))
    second = read_runs(write(tmp_path / "2", latency=a_run(2.5)))
    assert changes(first, second) == [("latency", "a / b", 2.0, 2.5)]
    assert difference(2.0, 2.5) == difference(2.5, 2.0) == 0.25
    page = document(first, {}, second)
    assert "Of 1 ratios, 0 have medians within 15% of each other" in page
    assert "25.0%" in page


def test_the_command_writes_the_page_and_copies_the_plots(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs", latency=a_run())
    (folder / "latency.png").write_bytes(b"plot")
    (tmp_path / "docs").mkdir()
    out, images = tmp_path / "docs" / "page.md", tmp_path / "docs" / "images" / "bench"
    result = CliRunner().invoke(
        main, [str(folder), "--out", str(out), "--images", str(images), "--again", str(folder)], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert "1 ratios in both runs; medians differ by at most 0.0%" in result.output
    assert "![latency](../images/bench/latency.png)" in (tmp_path / "docs" / "page" / "latency.md").read_text()
    assert (images / "latency.png").read_bytes() == b"plot"


def test_a_folder_without_json_or_with_a_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no JSON files"):
        read_runs(tmp_path)
    (tmp_path / "latency.json").write_text("{")
    with pytest.raises(DataError, match=r"latency\.json can't be read as JSON"):
        read_runs(tmp_path)
    for content, says in (("[]", "is not a JSON object"), ('{"tables": {}}', "form of an earlier release")):
        (tmp_path / "latency.json").write_text(content)
        with pytest.raises(DataError, match=says):
            read_runs(tmp_path)


def test_an_incomplete_results_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "latency.json").write_text('{"benchmark": "latency", "figures": [{"name": "a / b"}]}')
    (tmp_path / "docs").mkdir()
    result = CliRunner().invoke(main, [str(tmp_path), "--out", str(tmp_path / "docs" / "page.md")])
    assert isinstance(result.exception, DataError)
    assert "incomplete (KeyError" in str(result.exception)
    assert list((tmp_path / "docs").iterdir()) == []


def test_markdown_aligns_numbers_right_and_words_left() -> None:
    assert markdown_table(("", "ms", "what"), [("a", "5.0", "word"), ("b", "–", "7")]).splitlines()[1] == (
        "| --- | ---: | --- |"
    )


def test_files_go_only_to_benchmarks_that_take_them(tmp_path: Path) -> None:
    files = {"--data": tmp_path / "fer2013.csv", "--media": None, "--yunet": tmp_path / "yunet.onnx"}
    words = command("accuracy", tmp_path, files, ["fer"])
    assert words[words.index("--data") + 1] == str(files["--data"])
    assert words[words.index("--peer") + 1] == "fer"
    assert "--yunet" not in words
    assert "--yunet" in command("pipeline", tmp_path, files, [])
    assert "--data" not in command("runtime", tmp_path, files, ["fer"])
    assert "--quick" in command("footprint", tmp_path, {}, [])


def test_a_benchmark_without_the_files_it_needs_is_skipped() -> None:
    assert what_is_missing("latency", {}) is None
    assert what_is_missing("detector", {"--media": None}) == "--media"


def test_a_benchmark_without_its_extra_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert what_is_missing("serving", {}) == "pip install '.[web]'"


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_the_options_that_it_is_started_with(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{BENCHMARKS[name].module}")
    known = {option for parameter in module.main.params for option in parameter.opts}
    given = {word for word in BENCHMARKS[name].options if word.startswith("--")}
    assert given | set(BENCHMARKS[name].takes) | {"--json", "--plot"} <= known


def test_a_benchmark_is_shown_with_its_module() -> None:
    assert module_of("accuracy") == "benchmarks.accuracy.classifier"
    assert module_of("framing") == "benchmarks.accuracy.framing"
    assert module_of("removed") == "benchmarks.removed"
