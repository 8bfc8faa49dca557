"""The built wheel, installed where only the light dependencies are, runs the main job."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC_NAME = "fer_edge/serve/web/static"  # the dashboard
STATIC = ROOT / "edge_runtime" / STATIC_NAME
MAX_WHEEL_BYTES = 8_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT], check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_four_packages_and_the_models_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("fer_models/manifest.json"))
    tops = {name.partition("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {
        "fer_edge", "fer_export", "fer_models", "fer_train",
    }  # fmt: skip
    assert {f"fer_models/{entry['file']}" for entry in manifest["models"].values()} <= set(names)
    assert {f"{top}/py.typed" for top in tops if top.startswith("fer_") and "-" not in top} <= set(names)
    static = {path.relative_to(ROOT / "edge_runtime").as_posix() for path in STATIC.iterdir()}
    assert {f"{STATIC_NAME}/index.html", f"{STATIC_NAME}/main.js"} <= static <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


@pytest.mark.slow
def test_the_wheel_runs_the_demo_with_the_light_dependencies_only(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    bin_folder = tmp_path / "venv" / "bin"
    subprocess.run([bin_folder / "pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True)
    installed = subprocess.run(
        [bin_folder / "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    ).stdout
    names = {line.partition("==")[0].lower() for line in installed.split()}
    assert {"numpy", "onnxruntime", "opencv-python", "click", "fer-edge"} <= names
    assert names & {"torch", "onnx", "matplotlib"} == set()

    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [bin_folder / "fer-edge", "--source", "demo:", "--headless", "--json", "-", "--report", report],
        cwd=tmp_path, env=clean, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(300))
    assert sum(bool(line["faces"]) for line in lines) >= 0.99 * len(lines)
    assert json.loads(report.read_text())["frames"]["processed"] == 300

    missing = subprocess.run(
        [bin_folder / "fer-train", "--data", "x", "--out", "y"], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1
    assert "pip install 'fer-edge[train]'" in missing.stderr
