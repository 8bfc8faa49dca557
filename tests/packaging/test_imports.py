"""What is loaded when: the device never loads the training side, and --help loads no heavy modules."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

from fer_edge.demo.scene import draw_scene

TRAINING_SIDE = {"torch", "pandas", "onnx", "onnxsim", "onnxscript", "matplotlib", "tqdm", "fer_train", "fer_export"}
CONNECTIONS = {"starlette", "uvicorn", "prometheus_client", "paho"}
HEAVY = TRAINING_SIDE - {"fer_train", "fer_export"} | {"cv2", "onnxruntime"}


def modules_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"import sys\ntry:\n    {code}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    return {name.partition(".")[0] for name in ran.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("module", sorted(TRAINING_SIDE))
def test_the_training_side_is_installed_here(module: str) -> None:
    """Otherwise the tests below would pass without checking anything."""
    assert find_spec(module) is not None


def test_importing_fer_edge_loads_nothing_of_the_training_side() -> None:
    loaded = modules_after("import fer_edge")
    assert "fer_edge" in loaded
    assert loaded & HEAVY == set()


def test_the_version_loads_no_heavy_module() -> None:
    loaded = modules_after("import fer_edge; fer_edge.__version__; dir(fer_edge)")
    assert loaded & (HEAVY | {"numpy", "click"}) == set()


def test_the_recognizer_loads_nothing_of_the_training_side() -> None:
    loaded = modules_after("from fer_edge import EmotionRecognizer; EmotionRecognizer()")
    assert {"cv2", "onnxruntime"} <= loaded
    assert loaded & TRAINING_SIDE == set()


def test_a_run_without_connections_loads_none_of_their_packages() -> None:
    for package in CONNECTIONS:
        assert find_spec(package) is not None, "otherwise this would pass without checking anything"
    loaded = modules_after(
        "import fer_edge.__main__ as m; sys.argv = ['x', 'demo:320x240', '--headless', '--max-frames', '1']; m.main()"
    )
    assert "cv2" in loaded
    assert loaded & CONNECTIONS == set()


@pytest.mark.parametrize("entry", ["fer_edge.__main__", "fer_train.cli", "fer_export.cli"])
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_no_heavy_module(entry: str, option: str) -> None:
    loaded = modules_after(f"sys.argv = ['x', {option!r}]; import {entry} as entry; entry.main()")
    assert entry.partition(".")[0] in loaded
    assert loaded & HEAVY == set()


LATE = {  # no first result needs them
    "asyncio", "csv", "email", "http", "importlib.metadata", "multiprocessing", "select", "shlex", "shutil", "socket",
    "ssl", "subprocess", "tempfile", "tomllib", "urllib.request", "zipfile", "fer_edge.analysis", "fer_edge.cli.report",
    "fer_edge.cli.viewing", "fer_edge.media.containers", "fer_edge.media.fetch", "fer_edge.media.gate",
    "fer_edge.serve.connections", "fer_edge.sinks.overlay", "fer_edge.sinks.video", "fer_edge.sinks.window",
    "fer_edge.sources.url", "fer_edge.sources.v4l2",
}  # fmt: skip
MAX_OWN_MODULES = 105  # before the first result; each takes about 0.2 ms
AFTER_ONE_FRAME = """
import os, sys
import fer_edge.__main__ as main
import fer_edge.cli.job as job

def close(self):
    os.write(2, " ".join(sys.modules).encode())
    os._exit(0)

job.Job.close = close
sys.argv = ["fer-edge", sys.argv[1], "--headless", "--json", "-", "--max-frames", "1"]
main.main()
"""
FROM_PYTHON = """
import sys, fer_edge
fer_edge.EmotionRecognizer()(sys.argv[1])
print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A drawn photo and a video of it, by kind, and demo:."""
    folder = tmp_path_factory.mktemp("sources")
    image = draw_scene(0.5, (320, 240))
    cv2.imwrite(str(folder / "photo.png"), image)
    video = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    for _ in range(3):
        video.write(image)
    video.release()
    return {"photo": str(folder / "photo.png"), "video": str(folder / "clip.mp4"), "demo": "demo:320x240"}


@pytest.mark.parametrize(
    ("script", "kind"),
    [(AFTER_ONE_FRAME, "photo"), (AFTER_ONE_FRAME, "video"), (AFTER_ONE_FRAME, "demo"), (FROM_PYTHON, "photo")],
    ids=["photo", "video", "demo", "python"],
)
def test_the_first_result_needs_few_modules(script: str, kind: str, sources: dict[str, str]) -> None:
    command = [sys.executable, "-c", script, sources[kind]]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], stdout=subprocess.PIPE, text=True)
    loaded = set(ran.stderr.splitlines()[-1].split()) - set(bare.stdout.split())  # .pth files may import some
    assert "fer_edge.network.classifier" in loaded
    assert loaded & LATE == set()
    assert len([name for name in loaded if name.startswith("fer_")]) <= MAX_OWN_MODULES


def test_the_networks_begin_to_load_before_opencv_is_imported() -> None:
    loaded = modules_after("import fer_edge.pipeline.preload")
    assert "onnxruntime" in loaded
    assert "cv2" not in loaded


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it does nothing")
@pytest.mark.parametrize(("code", "linked"), [("import fer_edge.opencv as o; o._link()", True), ("pass", False)])
def test_opencv_is_linked_without_being_imported(code: str, linked: bool) -> None:
    script = f"import sys; {code}; print('/cv2' in open('/proc/self/maps').read(), 'cv2' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == [str(linked), "False"]


@pytest.mark.parametrize("package", ["fer_edge", "fer_train", "fer_export"])
def test_a_package_runs_as_its_command(package: str) -> None:
    command = [sys.executable, "-m", package, "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.startswith(package.replace("_", "-"))


ONE_FACE = "fer_edge.EmotionRecognizer().recognize(fer_edge.demo.scene.draw_scene(0.5, (320, 240)))"


@pytest.mark.parametrize(
    "code",
    [
        f"import fer_edge.demo.scene; assert {ONE_FACE}",
        "import sys, fer_edge.__main__ as m; sys.argv = ['x', 'demo:', '--headless', '--max-frames', '3']; m.main()",
        "import fer_train.evaluation.predictors, fer_edge.network.session as s, fer_models as f;"
        "s.open_session(f.default_model())",
        "import fer_export.int8.quantize, fer_export.graph.trace, fer_edge.network.session as s, fer_models as f;"
        "s.open_session(f.default_model())",
    ],
    ids=["api", "fer-edge", "fer-train", "fer-export"],
)
def test_nothing_is_stored_below_home_and_no_telemetry_starts(code: str, tmp_path: Path) -> None:
    """onnxruntime's telemetry would store an identifier of the device below HOME."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    environment |= {"HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "matplotlib"), "ORT_DISABLE_TELEMETRY": "0"}
    (tmp_path / "matplotlib").mkdir()  # the fonts' cache of a package that fer-train uses
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["matplotlib"]
