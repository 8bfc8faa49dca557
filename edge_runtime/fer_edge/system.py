"""Readings of the machine: processor features, temperature, clock, throttling. Each is cheap, and may be missing."""

import contextlib
import functools
import os
import sys
from pathlib import Path
from typing import Any

DOT_PRODUCT_FLAGS = ("asimddp", "avx512_vnni", "avx_vnni")  # Arm (Pi 5), x86, x86
VCGENCMD_TIMEOUT_S = 2
MEGABYTE = 1e6
# Bits of `vcgencmd get_throttled` (Raspberry Pi documentation, "vcgencmd"): now, and since boot 16 bits higher.
THROTTLE_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None


def cpu_flags() -> set[str]:
    """Instruction-set extensions from /proc/cpuinfo; empty on a system without it."""
    flags: set[str] = set()
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            flags.update(value.split())
    return flags


def dot_product_flag() -> str | None:
    """The flag of an 8-bit dot-product instruction, which makes int8 fast; None if there is none or it is unknown."""
    flags = cpu_flags()
    return next((flag for flag in DOT_PRODUCT_FLAGS if flag in flags), None)


def cpu_name() -> str:
    """The board (Raspberry Pi) or processor as the kernel names it; "" if unknown."""
    board = _read("/proc/device-tree/model")
    if board:
        return board
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return ""


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def temperature_c() -> float | None:
    """Temperature of the first thermal zone in degrees Celsius (on a Raspberry Pi the processor); None if unknown."""
    text = _read("/sys/class/thermal/thermal_zone0/temp")
    try:
        return None if text is None else int(text) / 1000
    except ValueError:
        return None


def clock_mhz() -> float | None:
    """Current clock of the first core in MHz; None if unknown."""
    text = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    try:
        return None if text is None else int(text) / 1000
    except ValueError:
        return None


def throttling() -> list[str] | None:
    """What throttles a Raspberry Pi now, or did since boot; [] if nothing, None on other machines."""
    import shutil  # this and subprocess take 8 ms to import, and only reports need them
    import subprocess

    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        ran = subprocess.run(
            [command, "get_throttled"], capture_output=True, text=True, timeout=VCGENCMD_TIMEOUT_S, check=True
        )
        bits = int(ran.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    now = [f"{name} now" for bit, name in THROTTLE_BITS.items() if bits >> bit & 1]
    return now + [f"{name} since boot" for bit, name in THROTTLE_BITS.items() if bits >> (bit + 16) & 1]


def peak_rss_mb() -> float | None:
    """The peak memory of this process in 10^6 bytes; None on Windows.

    VmHWM if /proc has it: ru_maxrss also counts what the parent process used before exec.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    return peak * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def package_version() -> str:
    """The version of the installed distribution, or "unknown" for a source tree on PYTHONPATH."""
    import importlib.metadata  # takes 30 ms, and most runs never ask

    try:
        return importlib.metadata.version("fer-edge")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def readings() -> dict[str, Any]:
    """temperature_c, clock_mhz and throttling; each None if unknown."""
    return {"temperature_c": temperature_c(), "clock_mhz": clock_mhz(), "throttling": throttling()}


def machine_info() -> dict[str, Any]:
    """Processor, usable cores, versions, and the current `readings`: the "machine" of every report."""
    return _lasting_info() | readings()


@functools.cache
def _lasting_info() -> dict[str, Any]:
    import platform

    import numpy as np

    from fer_edge.onnx_runtime import onnxruntime
    from fer_edge.opencv import cv2

    return {
        "cpu": cpu_name() or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
        "dot_product": dot_product_flag(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "fer_edge": package_version(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


def return_free_memory() -> None:
    """Return to the system what this process has freed: glibc keeps much of it. Elsewhere, nothing happens."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
