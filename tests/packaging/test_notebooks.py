"""The notebooks run from top to bottom, hold no output, and their links lead to files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def sources(notebook: Path, kind: str) -> list[str]:
    """The text of the cells of one kind."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_there_are_two_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["analyze_a_video", "train_on_a_folder"]


@notebooks
def test_a_notebook_holds_no_output(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@notebooks
def test_the_links_of_a_notebook_lead_to_files(notebook: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(sources(notebook, "markdown"))):
        assert target.startswith("https://") or (notebook.parent / target).exists(), target


@pytest.mark.slow
@notebooks
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(sources(notebook, "code")), encoding="utf-8")
    environment = os.environ | {"MPLBACKEND": "agg", "FER_EDGE_DEFAULTS": ""}
    ran = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    made = {"analyze_a_video": "report.html", "train_on_a_folder": "own.onnx"}[notebook.stem]
    assert (tmp_path / made).stat().st_size > 10_000
