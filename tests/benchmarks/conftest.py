"""Running benchmarks as a user does, and a small FER2013 CSV for them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.inputs import drawn_faces
from fer_train.data import FaceData

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """How a benchmark ended, and the results file and plot that it wrote."""

    code: int
    stdout: str
    stderr: str
    json_file: Path
    plot: Path

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.json_file.read_text())


@pytest.fixture
def run_benchmark(tmp_path: Path) -> Callable[..., Ran]:
    """run_benchmark("speed.latency", *options) runs it in a new process with --json and --plot."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}

    def run(module: str, *options: object) -> Ran:
        json_file, plot = tmp_path / "results.json", tmp_path / "results.png"
        words = [*map(str, options), "--json", json_file, "--plot", plot]
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr, json_file, plot)

    return run


@pytest.fixture(scope="session")
def drawn() -> FaceData:
    """The drawn faces, which take seconds to draw."""
    return drawn_faces()


@pytest.fixture
def faces_csv(tmp_path: Path) -> Path:
    """Two Training and three PublicTest faces per class, and a PublicTest copy of a Training face."""
    rng = np.random.default_rng(0)
    lines = ["emotion,pixels,Usage"]
    for usage, count in (("Training", 2), ("PublicTest", 3)):
        for label in range(7):
            for _ in range(count):
                lines.append(f"{label},{' '.join(map(str, rng.integers(0, 256, 48 * 48)))},{usage}")
    lines.append(lines[1].replace("Training", "PublicTest"))
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def is_png(path: Path, min_bytes: int = 5000) -> bool:
    """Whether the file is a PNG of some size."""
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > min_bytes
