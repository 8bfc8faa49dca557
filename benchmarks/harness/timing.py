"""Timing: jobs that take turns, and how noisy the machine was meanwhile."""

import hashlib
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click
import numpy as np

from fer_edge.opencv import cv2
from fer_edge.system import usable_cores

PROBE_BYTES = 1 << 20
MAX_RETRIES = 3
QUIET, UNEASY = 0.05, 0.15  # relative spread (5th to 95th percentile) of the noise probe
MAX_LOAD_PER_CORE = 1.5  # a load above this at the start makes a machine noisy

T = TypeVar("T")
Job = Callable[[], float]
"""Does one piece of work and returns what is measured of it, mostly seconds."""


def elapsed_s(job: Callable[[], object]) -> float:
    """Wall time of one run of `job` in seconds."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def involuntary_switches() -> int:
    """How many times the kernel has taken a core from this process for other work."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def median_time(job: Callable[[], object], runs: int) -> Job:
    """A job that returns the median seconds of `runs` uninterrupted runs of `job`.

    On a busy machine it tries up to MAX_RETRIES times as many. If the kernel interrupts all of them, their processor
    time counts: for single-threaded work that is its time on an idle machine. Of multi-threaded work, whose processor
    time is longer, the wall time counts.
    """

    def measure() -> float:
        every: list[float] = []
        uninterrupted: list[float] = []
        while len(uninterrupted) < runs and len(every) < MAX_RETRIES * runs:
            switches, cpu_s = involuntary_switches(), time.process_time()
            wall_s = elapsed_s(job)
            every.append(min(wall_s, time.process_time() - cpu_s))
            if involuntary_switches() == switches:
                uninterrupted.append(wall_s)
        return statistics.median(uninterrupted or every)

    return measure


class NoiseProbe:
    """A fixed piece of work that is timed between the jobs: if its times differ, the machine differed."""

    def __init__(self) -> None:
        self._bytes = bytes(range(256)) * (PROBE_BYTES // 256)
        self.times: list[float] = []
        self._load_before = os.getloadavg()[0]
        for _ in range(5):  # warm-up
            hashlib.sha256(self._bytes)

    def take(self) -> None:
        """Time it three times."""
        self.times += [elapsed_s(lambda: hashlib.sha256(self._bytes)) for _ in range(3)]

    def noise(self) -> dict[str, Any] | None:
        """Median in ms; 5th percentile, 95th percentile and maximum as multiples of it; a verdict. None if never taken.

        The verdict is "quiet", "uneasy" or "noisy".
        """
        if not self.times:
            return None
        median = statistics.median(self.times)
        low, high = (float(value) / median for value in np.percentile(self.times, [5, 95]))
        spread = high - low
        verdict = "quiet" if spread <= QUIET else "uneasy" if spread <= UNEASY else "noisy"
        if self._load_before / usable_cores() > MAX_LOAD_PER_CORE:
            verdict = "noisy"
        return {
            "kernel": "SHA-256 of 1 MiB", "median_ms": round(1000 * median, 4), "p5": round(low, 3),
            "p95": round(high, 3), "slowest": round(max(self.times) / median, 2), "samples": len(self.times),
            "load_before": round(self._load_before, 2), "load_after": round(os.getloadavg()[0], 2),
            "verdict": verdict,
        }  # fmt: skip


def noise_line(noise: Mapping[str, Any] | None) -> str:
    """The noise of a run as a sentence."""
    if noise is None:
        return "The machine's noise was not measured."
    return (
        f"The machine was {noise['verdict']}: a fixed kernel ({noise['kernel']}, {noise['median_ms']:.2f} ms) took "
        f"{noise['p5']:.2f} to {noise['p95']:.2f} times its median in 90 % of {noise['samples']} samples and "
        f"{noise['slowest']:.2f} times at worst; load "
        f"{noise['load_before']:.1f} before, {noise['load_after']:.1f} after."
    )


def interleave(
    jobs: Mapping[str, Callable[[], T]], rounds: int, probe: NoiseProbe, label: str = "measuring"
) -> dict[str, list[T]]:
    """The values of each job, one per round; the jobs take turns within a round.

    A first round warms up and is not counted. Every other round runs backwards, so that no job always follows the
    same one. The noise probe is timed once per round.
    """
    taken: dict[str, list[T]] = {name: [] for name in jobs}
    for turn in progress(range(rounds + 1), label):
        probe.take()
        for name in list(jobs)[:: -1 if turn % 2 else 1]:
            value = jobs[name]()
            if turn:
                taken[name].append(value)
    return taken


def ratios(values: Sequence[float], against: Sequence[float]) -> list[float]:
    """Each value divided by the one of `against` from the same round."""
    return [value / base for value, base in zip(values, against, strict=True)]


def progress(items: Sequence[T], label: str) -> Iterator[T]:
    """Iterate over `items` with a bar on stderr, if that is a terminal."""
    with click.progressbar(items, label=label, file=sys.stderr) as bar:
        yield from bar


def pin_threads(count: int) -> str:
    """Let OpenCV use `count` threads; returns a sentence for the results. Sessions get their threads when opened."""
    cv2.setNumThreads(count)
    return f"Threads: {count} for OpenCV, {count} for each onnxruntime session."
