"""Copying an export into the package."""

import hashlib
import json
from functools import partial
from pathlib import Path

import pytest

import fer_models
from fer_edge.errors import DataError, GateError
from fer_export import release

SHIPPED = Path(fer_models.__file__).parent


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the package."""
    folder = tmp_path / "fer_models"
    folder.mkdir()
    monkeypatch.setattr(release, "PACKAGE", folder)
    return folder


def detector_export(folder: Path, **changes: object) -> Path:
    """An export.json like a detector's, with its two files."""
    files = {}
    for precision, name in (("fp32", "d.onnx"), ("int8", "d.int8.onnx")):
        (folder / name).write_bytes(precision.encode())
        sha256 = hashlib.sha256(precision.encode()).hexdigest()
        files[precision] = {"file": name, "bytes": 4, "sha256": sha256}
    report = {
        "kind": "detector",
        "checkpoint": {"sha256": "c" * 64, "training": {"steps": 3}},
        "files": files,
        "parameters": 7,
        "box_agreement": 0.99,
        "gates": [{"name": "box_agreement", "passed": True}],
        "versions": {"python": "3"},
    }
    path = folder / "d.export.json"
    path.write_text(json.dumps(report | changes))
    return path


def test_a_classifier_is_released_with_its_measured_accuracy(finished, package: Path) -> None:
    written = release.release(finished.folder / "m.export.json", package)
    assert [path.name for path in written] == ["m.onnx", "m.int8.onnx", "manifest.json"]
    assert (package / "m.onnx").read_bytes() == (finished.folder / "m.onnx").read_bytes()
    manifest, report = json.loads((package / "manifest.json").read_text()), finished.report
    assert set(manifest) == set(json.loads((SHIPPED / "manifest.json").read_text()))
    assert manifest["models"]["int8"]["accuracy"] == report["accuracy"]["int8"]
    assert manifest["models"]["fp32"]["sha256"] == report["files"]["fp32"]["sha256"]


def test_a_detector_is_released_with_its_own_manifest(package: Path, tmp_path: Path) -> None:
    release.release(detector_export(tmp_path), package)
    manifest = json.loads((package / "detector.json").read_text())
    assert set(manifest) == set(json.loads((SHIPPED / "detector.json").read_text()))
    assert manifest["training"] == {"steps": 3} and manifest["recipe"] == "train/recipes/luma.sh"
    assert sorted(path.name for path in package.iterdir()) == ["d.int8.onnx", "d.onnx", "detector.json"]


def test_an_export_whose_gates_failed_is_not_released(package: Path, tmp_path: Path) -> None:
    failed = detector_export(tmp_path, gates=[{"name": "box_agreement", "passed": False}])
    with pytest.raises(GateError, match="not released, since gates failed: box_agreement"):
        release.release(failed, package)
    assert not list(package.iterdir())


def test_another_file_than_the_exported_one_is_not_released(package: Path, tmp_path: Path) -> None:
    report = detector_export(tmp_path)
    (tmp_path / "d.int8.onnx").write_bytes(b"other")
    with pytest.raises(DataError, match=r"d\.int8\.onnx is missing or not the file that d\.export\.json describes"):
        release.release(report, package)
    assert not list(package.iterdir())


@pytest.mark.parametrize("content", ["no JSON", "[]", "{}", '{"gates": 3}', '{"gates": [], "files": {}}'])
def test_a_report_that_is_not_an_exports_is_refused(package: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=r"x\.json.*name the export\.json that fer-export wrote"):
        release.release(tmp_path / "x.json", package)


def test_the_command_lists_what_it_wrote_and_its_errors_take_one_line(
    run_command, package: Path, tmp_path: Path
) -> None:
    run = partial(run_command, release.command, "python -m fer_export.release")
    result = run(detector_export(tmp_path))
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"wrote {package / name}" for name in ("d.onnx", "d.int8.onnx", "detector.json")
    ]
    result = run(tmp_path / "missing.json")
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith("python -m fer_export.release: ") and result.stderr.count("\n") == 1
    assert run().code == 2
