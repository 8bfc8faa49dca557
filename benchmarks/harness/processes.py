"""Measurements of other processes: time to the first line, processor time, memory. Reads Linux's /proc."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fer_edge.demo.scene import draw_scene
from fer_edge.opencv import cv2

MB = 1e6
IMPORT_LIBRARIES = "import cv2, onnxruntime"
PRINT_PEAK_KIB = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], flush=True)"


def first_line(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, str]:
    """Seconds from the start of a command to its first line on stdout, and that line; the command runs to its end."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd="/", text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        return time.perf_counter() - started, line


def first_result(python: str | Path, image: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds from the start of fer-edge on an image to its first JSON line, and its peak memory in MB."""
    report = image.with_suffix(".json")
    options = ["--source", str(image), "--headless", "--json", "-", "--overwrite", "--report", str(report)]
    took, _line = first_line([str(python), "-m", "fer_edge", *options], environment)
    return took, float(json.loads(report.read_text(encoding="utf-8"))["peak_rss_mb"])


def import_libraries(python: str | Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of an interpreter that only imports cv2 and onnxruntime."""
    took, line = first_line([str(python), "-c", f"{IMPORT_LIBRARIES}\n{PRINT_PEAK_KIB}"], environment)
    return took, int(line) * 1024 / MB


def write_face(folder: Path) -> Path:
    """An image of the drawn face in `folder`."""
    path = folder / "face.png"
    cv2.imwrite(str(path), draw_scene(0.5))
    return path


def resident_mb(process: int | str = "self") -> float:
    """Resident memory of a process in 10^6 bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB


def processor_s(process: int | str) -> float:
    """Processor time of a process's threads in seconds; schedstat counts nanoseconds."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
