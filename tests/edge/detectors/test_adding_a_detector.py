"""A module in detectors/ is a detector: found by name in Python and on the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fer_edge.detectors
from fer_edge.detectors import detector_names, open_detector
from fer_edge.framing import Image

EXAMPLE = Path(__file__).with_name("booth.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A second detectors folder that holds the documented example."""
    shutil.copy(EXAMPLE, tmp_path / "booth.py")
    return tmp_path


@pytest.fixture
def booth(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The example's name, after its folder became part of fer_edge.detectors."""
    monkeypatch.setattr(fer_edge.detectors, "__path__", [*fer_edge.detectors.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "fer_edge.detectors.booth", raising=False)
    return "booth"


def test_the_shipped_detectors_are_listed_with_the_default_first() -> None:
    assert detector_names() == ("luma", "yunet", "haar")


def test_listing_the_detectors_loads_no_heavy_module() -> None:
    code = "import sys, fer_edge.detectors as d; d.detector_names(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert loaded & {"cv2", "numpy", "onnxruntime"} == set()


def test_an_added_module_is_a_detector(booth: str, face_image: Image) -> None:
    assert detector_names() == ("luma", "yunet", "haar", "booth")
    (found,) = open_detector(booth).detect(face_image)
    assert found.box == (100, 60, 120, 120)
    assert open_detector(booth).detect(np.zeros_like(face_image)) == []


def test_an_added_detector_is_filtered_like_the_shipped_ones(booth: str, face_image: Image) -> None:
    assert open_detector(booth, min_face_px=121).detect(face_image) == []
    assert open_detector(booth, min_score=1.5).detect(face_image) == []


def test_the_command_line_runs_an_added_detector(folder: Path) -> None:
    code = (
        f"import fer_edge.detectors\nfer_edge.detectors.__path__.append({str(folder)!r})\n"
        "from fer_edge.__main__ import main\nmain()"
    )
    options = "--source demo: --headless --max-frames 2 --detector booth --json -"
    command = [sys.executable, "-c", code, *options.split()]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [len(result["faces"]) for result in results] == [1, 1]
    assert results[0]["faces"][0]["box"] == [200, 120, 240, 240]
