"""The JSON Schemas of docs/schemas describe what the commands write: values fit, and every key is declared."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import jsonschema
import pytest

import fer_models
from fer_edge.demo.scene import draw_scene
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import METADATA_KEY
from fer_edge.results import Face, FrameResult
from fer_edge.serve.changes import ChangeDetector
from fer_edge.serve.mqtt.state import StateFeed
from fer_edge.serve.run_state import RunState
from tests.schemas import SCHEMAS, check, schema, undeclared

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a run on a video with times of day, of one on an image and a file that is none, and of counts."""
    folder = tmp_path_factory.mktemp("outputs")
    cv2.imwrite(str(folder / "face.png"), draw_scene(2.0, (320, 240)))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    runs = {
        "demo": (["demo:320x240", "--max-frames", "12"], 0),
        "two": ([str(folder / "face.png"), str(folder / "broken.png")], 1),
    }
    counts = ["--aggregate", "1s", "--at-least", "1", "--aggregate-out"]
    runs["counts"] = (["demo:320x240", "--max-frames", "80", "--start-time", "2026-05-01T12:00Z"], 0)
    for name, (sources, code) in runs.items():
        command = [sys.executable, "-m", "fer_edge", *sources, "--headless"]
        command += [*(counts if name == "counts" else ["--json"]), str(folder / f"{name}.jsonl")]
        command += ["--report", str(folder / f"{name}.report.json")]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code
    return folder


@pytest.mark.parametrize("name", ["demo", "two"])
def test_json_lines_fit_their_schema(outputs: Path, name: str) -> None:
    lines = (outputs / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        check(json.loads(line), "result")


def test_counts_per_interval_fit_their_schema(outputs: Path) -> None:
    lines = [json.loads(line) for line in (outputs / "counts.jsonl").read_text(encoding="utf-8").splitlines()]
    withheld = {"schema": 1, "interval_s": 60, "start_t": 0, "withheld": True}
    assert lines
    for line in [*lines, withheld]:
        check(line, "aggregate")
    for wrong in (withheld | {"faces": 2}, withheld | {"withheld": False}, withheld | {"start_time": "noon"}):
        with pytest.raises(jsonschema.ValidationError):
            check(wrong, "aggregate")


def test_messages_fit_their_schemas() -> None:
    classifier = Classifier(fer_models.default_model())
    feed, detector = StateFeed(RunState(classifier)), ChangeDetector()
    face = Face((0, 0, 9, 9), 0.9, "happy", 0.8, {"happy": 0.8}, track_id=3)
    results = [FrameResult(0, 0.0, True, (face,)), FrameResult(9, 9.0, True, (), "b.mp4", "2026-05-01T12:00:00.000Z")]
    for number, result in enumerate(results):
        feed.update(result)
        check(feed.due(100.0 * (number + 1)), "state")
        for change in detector.update(result):
            check(change.to_dict(), "change")
    with pytest.raises(jsonschema.ValidationError):
        check(change.to_dict() | {"change": "gone"}, "change")


@pytest.mark.parametrize("name", ["demo", "two", "counts"])
def test_reports_fit_their_schema(outputs: Path, name: str) -> None:
    check(json.loads((outputs / f"{name}.report.json").read_text(encoding="utf-8")), "report")


@pytest.mark.parametrize(
    "path",
    [fer_models.model_path("int8"), fer_models.model_path("fp32"), fer_models.detector_path()],
    ids=lambda path: str(path.name),
)
def test_contracts_of_the_shipped_files_fit_their_schema(path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    metadata = {entry.key: entry.value for entry in onnx.load(str(path), load_external_data=False).metadata_props}
    check(json.loads(metadata[METADATA_KEY]), "contract")


@pytest.mark.parametrize("name", ["manifest.json", "detector.json"])
def test_the_lists_of_shipped_files_fit_their_schema(name: str) -> None:
    check(json.loads((ROOT / "models" / "fer_models" / name).read_text(encoding="utf-8")), "manifest")


def test_every_schema_is_on_the_page_of_formats_and_held_against_real_output() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for path in SCHEMAS.glob("*.json"):
        name = path.name.removesuffix(".schema.json")
        assert f"](schemas/{path.name})" in page, name
        assert re.search(rf'check\([^\n]*, "{name}"\)|{path.name}', tests), name


def test_a_value_that_does_not_fit_is_found() -> None:
    line = {"schema": 1, "frame": 0, "t": 0.0, "detected": True, "detector_ran": True, "faces": []}
    check(line, "result")
    for wrong in (line | {"frame": -1}, line | {"time": "noon"}, {"schema": 1}, line | {"schema": 2}):
        with pytest.raises(jsonschema.ValidationError):
            check(wrong, "result")
    rules = schema("result")
    assert list(undeclared(line | {"extra": 1}, rules, rules)) == [".extra"]
