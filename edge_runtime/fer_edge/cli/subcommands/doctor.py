"""`fer-edge doctor`: check everything a run needs; report what was found and what to fix."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fer_edge import system
from fer_edge.defaults import defaults_file, load_defaults
from fer_edge.errors import FerError

CHILD_TIMEOUT_S = 30
CAMERA_TIMEOUT_S = 15
OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn")
ILLEGAL_INSTRUCTION = (-4, 0xC000001D)  # exit codes: of SIGILL, and of Windows
# What needs Linux, by sys.platform.
MISSING = {
    "darwin": "not bound: the memory of hostile networks and videos; not shown: temperature and clock",
    "win32": (
        "not there: the window (--serve has a page), --on-change, reports by signal, locks and permissions of outputs; "
        "not bound: the memory of hostile networks and videos"
    ),
}
# These checks may crash (an illegal instruction) or hang (a broken camera), so they run in a child process.
_RUN_MODEL = """
import numpy, fer_models
from fer_edge.network.classifier import Classifier
from fer_edge.detectors import open_detector
classifier = Classifier(fer_models.default_model())
height, width = classifier.contract.input_size
classifier.predict(numpy.zeros((1, classifier.contract.channels, height, width), numpy.uint8))
open_detector("luma").detect(numpy.zeros((240, 320), numpy.uint8))
"""
_OPEN_CAMERA = """
import json, sys
from fer_edge.opencv import cv2
from fer_edge.sources.video import CameraSource
source = CameraSource(int(sys.argv[1]))
print(json.dumps(source.properties))
"""


@dataclass(frozen=True)
class Finding:
    """One line: what was checked and what was found. level: "ok", "note" (worth knowing) or "bad" (a run will fail)."""

    level: Literal["ok", "note", "bad"]
    what: str
    text: str


def examine() -> Iterator[Finding]:
    """Run every check and yield its findings."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _system,
        _packages,
        _processor,
        _models,
        _network,
        _defaults,
        _cameras,
        _camera_module,
        _video_output,
        _screen,
    ]
    faults = set()
    for check in checks:
        try:
            yield from check()
        except FerError as error:  # for example a system without libGL, which fails several checks
            if str(error) not in faults:
                yield Finding("bad", check.__name__.strip("_"), str(error))
            faults.add(str(error))


def _python() -> Iterator[Finding]:
    bits = 64 if sys.maxsize > 2**32 else 32
    text = f"{platform.python_version()}, {bits} bit, {platform.system()} {platform.release()} on {platform.machine()}"
    if bits == 32:
        yield Finding("bad", "python", f"{text}: onnxruntime has no 32-bit wheels; install the 64-bit system")
    else:
        yield Finding("ok", "python", text)


def _system() -> Iterator[Finding]:
    if missing := MISSING.get(sys.platform):
        yield Finding("note", "system", f"tested on Linux only; here, {missing}")


def _packages() -> Iterator[Finding]:
    for names in (("fer-edge",), ("numpy",), ONNXRUNTIMES, OPENCVS, ("click",)):
        found = [(name, _version(name)) for name in names if _version(name)]
        if not found:
            yield Finding("bad", names[0], f"not installed: pip install {names[0]}")
        for name, number in found:
            if (name, number) == ("onnxruntime", "1.21.0"):
                yield Finding("bad", name, "1.21.0 crashes on a Raspberry Pi 4: pip install --upgrade onnxruntime")
            else:
                yield Finding("ok", name, str(number))
        if len(found) > 1:  # of OPENCVS or ONNXRUNTIMES: they share a folder
            yield Finding(
                "note",
                names[0].partition("-")[0],
                f"these {len(found)} packages overwrite each other's files: pip uninstall -y "
                f"{' '.join(name for name, _ in found)}, then pip install {found[0][0]}",
            )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> Iterator[Finding]:
    yield Finding("ok", "processor", f"{system.cpu_name() or platform.machine()}, {system.usable_cores()} cores")
    flag = system.dot_product_flag()
    if flag:
        yield Finding("ok", "int8", f"dot-product instructions ({flag}): int8 is fast")
    else:
        yield Finding(
            "note",
            "int8",
            "no dot-product instructions found: int8 may be no faster than fp32; fer-edge tune measures it",
        )
    readings = system.readings()
    if readings["temperature_c"] is not None:
        yield Finding("ok", "temperature", f"{readings['temperature_c']:.0f} °C")
    if readings["throttling"]:
        yield Finding("note", "throttling", ", ".join(readings["throttling"]) + ": check power supply and cooling")


def _models() -> Iterator[Finding]:
    import fer_models
    from fer_edge.files import sha256_of

    try:
        models = {
            f"{name} model": (fer_models.model_path(name), entry)
            for name, entry in fer_models.manifest()["models"].items()
        }
        models |= {
            f"{name} detector": (fer_models.detector_path(name), entry)
            for name, entry in fer_models.detector_manifest()["models"].items()
        }
    except (OSError, ValueError, KeyError):
        yield Finding("bad", "models", "the list of shipped models can't be read: reinstall fer-edge")
        return
    for what, (path, entry) in models.items():
        if not path.is_file():
            yield Finding("bad", what, f"{path.name} is missing: reinstall fer-edge")
        elif sha256_of(path) != entry["sha256"]:
            yield Finding("bad", what, f"{path.name} is not the shipped file: reinstall fer-edge")
        else:
            heads = f", heads {', '.join(entry['heads'])}" if entry.get("heads") else ""
            size = f"{entry['bytes'] / 1000:.0f} kB"
            yield Finding("ok", what, f"{path.name}, {size}, sha256 {entry['sha256'][:12]}…{heads}")


def _network() -> Iterator[Finding]:
    code, output = _run_child(_RUN_MODEL, timeout_s=CHILD_TIMEOUT_S)
    if code == 0:
        yield Finding("ok", "inference", "the shipped networks run")
    elif code in ILLEGAL_INSTRUCTION:
        yield Finding(
            "bad",
            "inference",
            "onnxruntime uses an instruction that this processor lacks: install another version of onnxruntime",
        )
    else:
        why = output or (f"ended by signal {-code}" if code < 0 else f"exit {code}")
        yield Finding("bad", "inference", f"the shipped networks do not run ({why})")


def _defaults() -> Iterator[Finding]:
    path, values = defaults_file(), load_defaults()
    if values:
        yield Finding("ok", "defaults", ", ".join(f"{name} {value}" for name, value in values.items()) + f" ({path})")
    else:
        yield Finding("ok", "defaults", "built-in; fer-edge tune finds the best ones for this machine")


def _cameras() -> Iterator[Finding]:
    from fer_edge.sources.v4l2 import UNLISTED, can_list_cameras, list_cameras

    cameras = list_cameras()
    if not can_list_cameras():
        yield Finding("note", "camera", UNLISTED)
    elif not cameras:
        yield Finding("note", "camera", "none found; --source demo: needs none")
    for number, name in cameras:
        code, output = _run_child(_OPEN_CAMERA, str(number), timeout_s=CAMERA_TIMEOUT_S)
        if code == 0:
            properties = json.loads(output)
            fps = f" at {properties['fps']:g} frames/s" if properties["fps"] else ""
            what = f"{properties['size'][0]}x{properties['size'][1]} {properties['format']}".rstrip()
            yield Finding("ok", f"camera {number}", f"{name}: delivers {what}{fps}")
        else:
            yield Finding("note", f"camera {number}", f"{name}: " + (output or "can't be opened"))


def _camera_module() -> Iterator[Finding]:
    from fer_edge.sources.rpicam import PROGRAM

    program = shutil.which(PROGRAM)
    if program:
        yield Finding("ok", "rpicam", f"{program}: --source rpicam: reads the camera module")


def _screen() -> Iterator[Finding]:
    from fer_edge.sinks.display import screen_available

    if screen_available():
        yield Finding("ok", "screen", "a window can be shown")
    else:
        yield Finding("note", "screen", "none: fer-edge runs headless")


def _video_output() -> Iterator[Finding]:
    from fer_edge.sinks import ffmpeg

    program = ffmpeg.find_ffmpeg()
    encoder = None if program is None else ffmpeg.h264_encoder(program)
    if encoder is not None:
        yield Finding("ok", "video", f"--output writes H.264 with sound ({program}, {encoder})")
    else:
        missing = "ffmpeg is not installed" if program is None else f"{program} has no H.264 encoder that works"
        yield Finding(
            "note", "video", f"{missing}: --output writes MPEG-4, which browsers do not play: {ffmpeg.INSTALL}"
        )


def _run_child(code: str, *arguments: str, timeout_s: float) -> tuple[int, str]:
    """Run Python code in a child process: its exit code (negative: the signal) and the last line of its output."""
    try:
        ran = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {timeout_s:g} s"
    lines = (ran.stdout if ran.returncode == 0 else ran.stderr).strip().splitlines()
    return ran.returncode, lines[-1].rpartition("Error: ")[2] if lines else ""
