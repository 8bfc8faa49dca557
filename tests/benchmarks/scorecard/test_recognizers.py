"""The table of recognizers: its rows come from results files, and the README has it as stored."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.scorecard.published import PUBLISHED
from benchmarks.scorecard.recognizers import (
    BEGIN,
    COLUMNS,
    END,
    PEERS,
    STORED,
    Recognizer,
    collect,
    main,
    markdown,
    replaced,
    to_json,
)
from fer_edge.errors import DataError
from fer_edge.network.classifier import Classifier
from fer_models import model_path

ROOT = Path(__file__).parents[3]
MACHINE = {"cpu": "Some CPU", "cores": 2}


def measure(value: float) -> dict[str, Any]:
    return {"value": value, "interval": [value, value], "faces": 10}


def scores(head: str | None, people: float, detail: str) -> dict[str, Any]:
    found = {
        "people kept aside": {"mean_of_five": measure(people), "recall": {"neutral": measure(0.9)}},
        "FER+ majority": {"accuracy": measure(0.86)},
        "FER2013 labels": {"accuracy": measure(0.65)},
    }
    return {"head": head, "ours": head is not None, "detail": detail, "file_mb": 0.957, "all": found}


def results() -> dict[str, dict[str, Any]]:
    ours = {"file people": scores("people", 0.774, "int8, 0.96 MB")}
    peers = {"fer": scores(None, 0.5, "25.10.3, 0.09 MB") | {"file_mb": 0.0921}}
    alone = {"peers": [], "ms": {"fer-edge, int8": {"1": 0.5}}}
    in_turns = {"peers": ["fer 25.10.3"], "ms": {"fer-edge, int8": {"1": 0.3}, "fer 25.10.3": {"1": 0.4}}}
    return {
        "latency": {"benchmark": "latency", "values": alone, "machine": MACHINE},
        "latency-peers": {"benchmark": "latency", "values": in_turns, "machine": MACHINE},
        "people": {"benchmark": "people", "values": {"scores": ours}},
        "people-peers": {"benchmark": "people", "values": {"scores": ours | peers}},
        "packages": {
            "benchmark": "packages",
            "values": {
                "packages": {"fer-edge": 8, "fer": 60, "deepface": 23},
                "releases": {"fer": "25.10.3", "deepface": "0.0.103"},
            },
        },
    }


def test_a_row_has_what_each_benchmark_measured_and_times_of_one_run() -> None:
    ours, fer, *others = collect(results())
    assert ours == Recognizer("fer-edge", "people", 0.774, 0.9, 0.86, 0.65, 0.957, 0.3, 8)
    assert fer == Recognizer("fer", "25.10.3", 0.5, 0.9, 0.86, 0.65, 0.0921, 0.4, 60)
    assert [each.name for each in others] == ["face-api", "deepface", "opencv-zoo"]
    assert others[1] == Recognizer("deepface", "0.0.103", packages=23)


def test_what_was_not_measured_is_published_and_marked_or_absent() -> None:
    assert Recognizer("deepface", packages=23).cells()[1:] == ("–", "–", "–", "57 % †", "–", "–", "23")
    assert Recognizer("deepface", label=0.55).cells()[4] == "55.0 %"
    assert Recognizer("opencv-zoo").cells()[4:] == ("–", "4.8 †", "–", "–")
    assert {each.peer for each in PUBLISHED if each.short} <= set(PEERS)


def test_the_table_has_a_cell_per_column_and_an_empty_folder_gives_absent_cells() -> None:
    table = markdown(to_json(results())).partition("\n\n")[0].splitlines()
    assert all(line.count("|") == len(COLUMNS) + 1 for line in table)
    assert "| **fer-edge**, `people` | 77.4 % | 90.0 % | 86.0 % | 65.0 % | 0.96 | 0.300 | 8 |" in table
    assert len(markdown(to_json({})).splitlines()) > len(PEERS)


def test_the_command_writes_the_table_between_its_comments(tmp_path: Path) -> None:
    for name, content in results().items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "accuracy.json").write_text("not read")
    readme, stored = tmp_path / "README.md", tmp_path / "stored.json"
    readme.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    arguments = [str(tmp_path), "--readme", str(readme), "--stored", str(stored)]
    ran = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert ran.exit_code == 0
    table = markdown(json.loads(stored.read_text()))
    assert readme.read_text() == f"before\n\n{BEGIN}\n{table}\n{END}\n\nafter\n"
    assert ran.output == f"{table}\n"
    assert "Some CPU, 2 cores" in table


def test_a_folder_without_results_and_a_document_without_comments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="put them where the table belongs"):
        replaced("# fer-edge\n", "table")
    ran = CliRunner().invoke(main, [str(tmp_path)])
    assert isinstance(ran.exception, DataError)
    assert "holds no results" in str(ran.exception)
    for content in ('{"benchmark": "people"}', "[]", '{"benchmark": "people", "values": {"scores": {"a": 1}}}'):
        (tmp_path / "people.json").write_text(content)
        ran = CliRunner().invoke(main, [str(tmp_path)])
        assert isinstance(ran.exception, DataError), content
        assert "incomplete" in str(ran.exception)


def test_the_readme_has_the_stored_table() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = markdown(json.loads(STORED.read_text(encoding="utf-8")))
    assert readme == replaced(readme, table), "run python -m benchmarks.scorecard.recognizers FOLDER"


def test_the_stored_rows_are_those_of_the_shipped_file() -> None:
    rows = [Recognizer(**each) for each in json.loads(STORED.read_text(encoding="utf-8"))["recognizers"]]
    ours = [row for row in rows if row.name == "fer-edge"]
    assert [row.detail for row in ours] == [head.name for head in Classifier(model_path("int8")).contract.heads]
    assert {row.file_mb for row in ours} == {model_path("int8").stat().st_size / 1e6}
    assert {row.name for row in rows} == {"fer-edge", *PEERS}
