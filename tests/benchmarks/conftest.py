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
from fer_edge.demo.scene import SIZE, draw_scene, face_box_at
from fer_edge.framing import Square, crop, to_gray
from fer_edge.opencv import cv2
from fer_train.data import FaceData
from fer_train.detection.synthesis.tiles import TILE_PX, TILES_PER_ROW

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


@pytest.fixture
def ferplus_csv(tmp_path: Path) -> Path:
    """Votes for `faces_csv`: happy, but contempt, unknown, no majority and a tie for the first PublicTest faces."""
    columns = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    happy = [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]
    odd = [
        [0, 1, 0, 0, 0, 0, 0, 9, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0, 7, 0], [3, 3, 0, 0, 0, 0, 4, 0, 0, 0],
        [5, 5, 0, 0, 0, 0, 0, 0, 0, 0],
    ]  # fmt: skip
    usages = ["Training"] * 14 + ["PublicTest"] * 22
    votes = [happy] * 14 + odd + [happy] * 18
    lines = [f"{usage},fer{row:07d}.png,{','.join(map(str, votes[row]))}" for row, usage in enumerate(usages)]
    path = tmp_path / "votes.csv"
    path.write_text(f"Usage,Image name,{columns}\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def people_folder(tmp_path: Path) -> Path:
    """Faces of eight photographs of seven people in test/, one of them a copy of one in train/."""
    folder, rng = tmp_path / "people", np.random.default_rng(1)
    names = {
        "train/neutral": ["T_0001"], "train/angry": ["U_0001"], "train/happy": ["V_0001"], "train/sad": ["W_0001"],
        "test/neutral": ["A_Person_0001", "B_0001", "C_0001", "D_0001"], "test/angry": ["A_Person_0002"],
        "test/happy": ["E_0001", "F_0001"], "test/sad": ["G_0001"],
    }  # fmt: skip
    for place, files in names.items():
        (folder / place).mkdir(parents=True)
        for name in files:
            cv2.imwrite(str(folder / place / f"{name}.png"), rng.integers(0, 256, (48, 48), dtype=np.uint8))
    (folder / "test/sad/G_0001.png").write_bytes((folder / "train/sad/W_0001.png").read_bytes())
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of tiles and labels for them: the demo's drawn face, big and in the middle of ten photographs.

    Seven of them are of people in `people_folder`/test, two of people in train/, and one has no label.
    """
    scene = to_gray(draw_scene(1.0))
    x, y, width, height = face_box_at(1.0, SIZE)
    side = 1.6 * max(width, height)
    face = crop(scene, Square(x + width / 2, y + height / 2, side), (TILE_PX, TILE_PX))
    box = (TILE_PX / 2 - TILE_PX * width / side / 2, TILE_PX / 2 - TILE_PX * height / side / 2,
           TILE_PX * width / side, TILE_PX * height / side)  # fmt: skip
    people = {
        "A_Person_0001": "neutral", "A_Person_0002": "angry", "B_0001": "neutral", "C_0001": "neutral",
        "D_0001": "neutral", "E_0001": "happy", "F_0001": "happy", "T_0001": "neutral", "U_0001": "angry", "X_0001": "",
    }  # fmt: skip
    folder = tmp_path / "tiles"
    folder.mkdir()
    sheet = np.zeros((TILE_PX, TILES_PER_ROW * TILE_PX), np.uint8)
    landmarks = "right_eye_x,right_eye_y,left_eye_x,left_eye_y,nose_x,nose_y,mouth_right_x,mouth_right_y"
    boxes = [f"tile,name,x,y,w,h,{landmarks},mouth_left_x,mouth_left_y,score"]
    rows = ["tile,name,emotion"]
    for tile, (name, emotion) in enumerate(people.items()):
        sheet[:, tile * TILE_PX : (tile + 1) * TILE_PX] = face
        points = "52,56,76,56,64,70,55,82,74,82" if tile % 2 else "52,56,76,56,76,70,55,82,74,82"  # odd: frontal
        boxes.append(f"{tile},{name},{','.join(f'{value:.2f}' for value in box)},{points},0.9")
        rows += [f"{tile},{name},{emotion}"] if emotion else []
    cv2.imwrite(str(folder / "tiles_00.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 95])
    (folder / "boxes.csv").write_text("\n".join(boxes) + "\n")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    return folder, labels
