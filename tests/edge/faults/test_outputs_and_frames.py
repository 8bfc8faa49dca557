"""A full disk, frames of any size, a hundred faces, and clocks that jump."""

import ast
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import fer_edge
from fer_edge.detectors.base import Detection
from fer_edge.detectors.luma import LumaDetector
from fer_edge.framing import Framing, Image
from fer_edge.network.classifier import Classifier
from fer_edge.recognizer import EmotionRecognizer
from fer_edge.sinks.overlay import annotate
from fer_edge.sources import IterableSource

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_full_disk_ends_the_json_output_and_the_run_goes_on(fer_edge: Run, small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(250_000))
    done = fer_edge(
        "--source", "demo:160x160", "--headless", "--max-frames", "90", "--json", "small/out.jsonl",
        "--csv", "out.csv", "--report", "out.json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("--json small/out.jsonl failed and is abandoned: No space left on device") == 1
    assert "--json failed, see above" in done.stderr.splitlines()[-1]
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["frames"]["processed"] == 90
    lines = (small_disk / "out.jsonl").read_text().splitlines()
    assert 0 < len(lines) < 90
    assert [json.loads(line)["frame"] for line in lines] == list(range(len(lines)))
    assert report["sinks"]["json"] == {"written": len(lines), "lost": 90 - len(lines)}
    assert report["sinks"]["csv"] == {"written": 90, "lost": 0}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["opencv", "ffmpeg"])
def test_a_full_disk_ends_the_video_and_the_run_goes_on(
    fer_edge: Run, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: str
) -> None:
    if encoder == "opencv":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    (small_disk / "ballast").write_bytes(bytes(220_000))
    done = fer_edge(
        "--source", "demo:320x240", "--headless", "--max-frames", "60", "--output", "small/out.mp4",
        "--json", "out.jsonl", "--report", "out.json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("--output failed and is abandoned: small/out.mp4 could not be completed") == 1
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["sinks"] == {"output": {"written": 0, "lost": 60}, "json": {"written": 60, "lost": 0}}
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_rotated_files_hold_whole_lines_on_a_full_disk(fer_edge: Run, small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(235_000))
    done = fer_edge(
        "--source", "demo:160x160", "--headless", "--max-frames", "120", "--json", "small/out.jsonl",
        "--rotate-output", "5kB", "--report", "out.json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert len(re.findall("--json small/out.jsonl failed and is abandoned: .*No space left", done.stderr)) == 1
    lines = [line for file in small_disk.glob("out*.jsonl") for line in file.read_text().splitlines()]
    frames = sorted(json.loads(line)["frame"] for line in lines)
    assert 0 < len(frames) < 120
    assert frames == list(range(len(frames)))
    written = json.loads((tmp_path / "out.json").read_text())["sinks"]["json"]["written"]
    assert written == len(frames)


def test_rotated_output_never_fills_the_disk(fer_edge: Run, small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(220_000))
    done = fer_edge(
        "--source", "demo:160x160", "--headless", "--max-frames", "200", "--json", "small/out.jsonl",
        "--rotate-output", "5kB", "--keep-output", "2", "--report", "out.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["sinks"]["json"] == {"written": 200, "lost": 0}
    assert len(list(small_disk.glob("out*.jsonl"))) == 3


SIZES = [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (17, 4000), (6000, 8000)]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_frames_of_any_size_are_processed(classifier: Classifier, size: tuple[int, int], channels: int) -> None:
    image = np.full(size if channels == 1 else (*size, 3), 90, dtype=np.uint8)
    faces = EmotionRecognizer(model=classifier.path).recognize(image)
    assert faces == []
    assert annotate(image, faces, caption="caption").shape == (*size, 3)


def test_the_size_may_change_from_frame_to_frame(fakes, classifier: Classifier, face_image: Image) -> None:
    gray = np.asarray(cv2.cvtColor(face_image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    images = [face_image, gray[:1, :1], gray, face_image[:, :40], cv2.resize(gray, (640, 480)), gray[:40], face_image]
    pipeline = fakes.finish(fakes.pipeline(IterableSource(images * 3), LumaDetector(), classifier))
    assert pipeline.error is None
    assert len(fakes.published) == len(images) * 3
    for result, image in zip(fakes.published, itertools.cycle(images)):
        for face in result.faces:
            assert face.box[0] + face.box[2] <= image.shape[1]
            assert face.box[1] + face.box[3] <= image.shape[0]
    assert fakes.published[0].faces


def test_the_command_takes_images_of_any_size(fer_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index, (height, width) in enumerate(SIZES[:5]):
        cv2.imwrite(str(tmp_path / "in" / f"{index}.png"), np.full((height, width), 90, dtype=np.uint8))
    done = fer_edge("--source", "in", "--headless", "--json", "-", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["faces"] for line in done.stdout.splitlines()] == [[]] * 5
    assert len(list((tmp_path / "out").iterdir())) == 5


class Crowd:
    """Finds a hundred faces in every 640x480 image."""

    name, needs_color = "crowd", False
    framing = Framing(of_width=1.0)

    def detect(self, _image: Image) -> list[Detection]:
        return [
            Detection((20 + 60.0 * column, 10 + 45.0 * row, 40, 40), 1.0) for column in range(10) for row in range(10)
        ]


def test_a_hundred_faces_keep_their_ids_and_are_classified_in_one_batch(fakes, classifier) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    pipeline = fakes.finish(fakes.pipeline(IterableSource([image] * 6), Crowd(), classifier))
    assert pipeline.error is None
    assert [sorted(face.track_id for face in result.faces) for result in fakes.published] == [list(range(100))] * 6
    assert pipeline.stats.tracks == 100
    assert len(fakes.published[0].to_dict()["faces"]) == 100
    assert annotate(image, fakes.published[0].faces).shape == image.shape


def test_only_monotonic_clocks_are_read_but_for_the_time_of_day_of_results() -> None:
    jumping = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
    package = Path(fer_edge.__file__).parent
    for path in set(package.rglob("*.py")) - {package / "pipeline" / "clock.py"}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in jumping, f"{path.name}:{node.lineno}"
            if isinstance(node, ast.ImportFrom):
                assert not (node.module == "time" and any(name.name.startswith("time") for name in node.names))
