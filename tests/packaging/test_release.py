"""What a release rests on: one version, floors that are tested, workflows that parse."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))


def test_the_tested_constraints_are_the_floors_of_the_dependencies() -> None:
    lines = (ROOT / ".ci" / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["analysis"], *extras["web"], *extras["mqtt"]]
    floors = dict(re.split(">=", entry.split(",")[0]) for entry in wanted)
    assert tested.keys() == floors.keys()
    for name, floor in floors.items():
        assert f"{tested[name]}.0".startswith(f"{floor}."), name


def test_changelog_and_citation_name_the_version() -> None:
    version = PROJECT["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_workflows_and_forms_parse(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        for job in content["jobs"].values():
            assert "timeout-minutes" in job
            assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_every_python_of_the_classifiers_is_checked() -> None:
    listed = {entry.rpartition(" ")[2] for entry in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", entry)}
    checks = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8"))
    assert set(checks["jobs"]["test"]["strategy"]["matrix"]["python"]) == listed
