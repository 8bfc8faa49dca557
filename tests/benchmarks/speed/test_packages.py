"""Packages are counted from what pip and npm say, and what can't be resolved is left out."""

import json
from pathlib import Path

import pytest

from benchmarks.speed import packages
from benchmarks.speed.packages import installs, measure, npm_packages
from fer_edge.errors import DataError, FerError

REPORT = {
    "install": [{"metadata": {"name": "NumPy", "version": "2.4"}}, {"metadata": {"name": "click", "version": "8"}}]
}
LOCK = {"": {"version": "0"}, "node_modules/a": {"version": "1"}, "node_modules/a/node_modules/@x/b": {"version": "2"}}


def test_every_package_of_pips_report_counts() -> None:
    assert installs(REPORT) == [("click", "8"), ("numpy", "2.4")]


def test_packages_are_counted_per_recognizer_and_a_failure_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(requirements: list[str]) -> list[tuple[str, str]]:
        if "fer" in requirements:
            raise FerError("pip can't resolve fer (no such package)")
        return [("numpy", "2.4"), ("opencv-python", "4.14")]

    monkeypatch.setattr(packages, "resolved", resolved)
    (tmp_path / ".package-lock.json").write_text(json.dumps({"packages": LOCK}))
    results = measure(["opencv-zoo", "fer"], [f"face-api={tmp_path}"])
    assert results.values["packages"] == {"opencv-zoo": 2, "face-api": 2}
    assert results.values["names"]["face-api"] == ["@x/b 2", "a 1"]
    assert results.skipped == ["pip can't resolve fer (no such package)"]
    assert list(results.tables[0].rows) == [("opencv-zoo", "–", "2"), ("face-api", "–", "2")]


def test_a_folder_that_npm_did_not_write_is_refused(tmp_path: Path) -> None:
    for content in (None, "{", "[]", "{}"):
        if content is not None:
            (tmp_path / ".package-lock.json").write_text(content)
        with pytest.raises(DataError, match="run npm install"):
            npm_packages(tmp_path)
