"""Does a run of hours stay stable? The endless demo, and beside it a stream whose server fails every minute.

Both runs are sampled every few seconds: memory, threads, file handles, the size of the (rotated) results, and the
frames in flight, that is captured - processed - dropped - errors.

    python -m benchmarks.speed.soak --minutes 60 --json soak.json --plot soak.png
"""

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.options import results_command
from benchmarks.harness.plots import new_figure
from benchmarks.harness.processes import MB, resident_mb
from benchmarks.harness.results import Results
from benchmarks.harness.tables import Table
from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.opencv import cv2
from fer_edge.sinks.rotation import numbered_pieces

FPS = 10
UP_S, DOWN_S = 60.0, 5.0
WARM_UP_S = 60.0  # memory should not grow after it
MAX_IN_FLIGHT = 4  # one waiting for the detector, one in it, one between it and the classifier, one in that
ROTATE, KEEP = "1MB", 3


class FailingServer:
    """Motion JPEG over HTTP on 127.0.0.1. Every UP_S it closes all connections and refuses new ones for DOWN_S."""

    def __init__(self) -> None:
        self._jpegs = [cv2.imencode(".jpg", draw_scene(i / FPS, (320, 240)))[1].tobytes() for i in range(10 * FPS)]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.failures = 0
        self.up = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            with socket.create_server(("127.0.0.1", self.port)) as listener:
                self.up.set()
                threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
                time.sleep(UP_S)
                self.up.clear()
                self.failures += 1
                listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
            time.sleep(DOWN_S)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._send, args=(listener.accept()[0],), daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(head)
            for jpeg in itertools.cycle(self._jpegs):
                if not self.up.is_set():
                    return
                connection.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
                connection.sendall(jpeg + b"\r\n")
                time.sleep(1 / FPS)


class Run:
    """A fer-edge process and its samples over time."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self.name, self.samples = name, list[dict[str, float]]()
        self._report = folder / f"{name}.json"
        command = [sys.executable, "-m", "fer_edge", "--headless", "--threads", "1", *arguments]
        self._lines = folder / f"{name}.jsonl"
        outputs = ["--json", str(self._lines), "--rotate-output", ROTATE, "--keep-output", str(KEEP)]
        self.process = subprocess.Popen([*command, *outputs, "--report", str(self._report)], stderr=subprocess.DEVNULL)

    def sample(self, t: float) -> None:
        """Record memory, threads, file handles, frames and the size of the results, if the process still runs.

        The frames are those of the report that the previous sample requested.
        """
        folder = Path(f"/proc/{self.process.pid}")
        with contextlib.suppress(OSError):
            frames = json.loads(self._report.read_text())["frames"] if self._report.exists() else None
            if self._started():
                self.process.send_signal(signal.SIGUSR1)
            self.samples.append(
                {
                    "t": round(t, 1),
                    "rss_mb": resident_mb(self.process.pid),
                    "threads": len(list((folder / "task").iterdir())),
                    "handles": len(list((folder / "fd").iterdir())),
                    "results_mb": sum(file.stat().st_size for file in self._pieces()) / MB,
                    "in_flight": frames["in_flight"] if frames else 0,
                    "processed": frames["processed"] if frames else 0,
                }
            )

    def _started(self) -> bool:
        """Whether it has results: from then on it handles SIGUSR1, which would end it before."""
        return self._lines.exists() and self._lines.stat().st_size > 0

    def _pieces(self) -> list[Path]:
        numbered = numbered_pieces(self._lines)
        return [*(numbered[number] for number in sorted(numbered)), self._lines]

    def end(self) -> dict[str, Any]:
        """Stop it as systemd does; its figures, and whether its frame counts add up."""
        died_early = self.process.poll() is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        report: dict[str, Any] = json.loads(self._report.read_text())
        frames = report["frames"]
        parts = frames["processed"] + sum(frames["dropped"].values()) + frames["errors"] + frames["in_flight"]
        numbers = [json.loads(line)["frame"] for file in self._pieces() for line in file.read_text().splitlines()]
        warm = [sample["rss_mb"] for sample in self.samples if sample["t"] >= WARM_UP_S] or [0.0]
        quarter = max(1, len(warm) // 4)
        return {
            "name": self.name,
            "died_early": died_early,
            "exit_code": code,
            "frames": frames,
            "adds_up": parts == frames["captured"] and frames["in_flight"] == 0,
            "most_in_flight": max((sample["in_flight"] for sample in self.samples), default=0),
            "least_in_flight": min((sample["in_flight"] for sample in self.samples), default=0),
            "in_flight_bound": MAX_IN_FLIGHT,
            "lines_lost": report["sinks"]["json"]["lost"],
            "kept_lines_in_order": numbers == sorted(set(numbers)),
            "reconnects": report["reconnects"],
            "latency_ms": report["latency_ms"]["end_to_end"],
            "rss_growth_mb": round(sum(warm[-quarter:]) / quarter - sum(warm[:quarter]) / quarter, 2),
            "samples": self.samples,
        }


def plot(results: Results) -> Any:
    """Each quantity of both runs over time."""
    rows = {
        "rss_mb": "memory, MB", "threads": "threads", "handles": "file handles", "in_flight": "frames in flight",
        "processed": "frames processed", "results_mb": "results kept, MB",
    }  # fmt: skip
    canvas = new_figure(9, 11)
    panels = canvas.subplots(len(rows), 1, sharex=True)
    for axes, (key, title) in zip(panels, rows.items(), strict=True):
        for run in results.values["runs"]:
            minutes = [sample["t"] / 60 for sample in run["samples"]]
            axes.plot(minutes, [sample[key] for sample in run["samples"]], label=run["name"])
        axes.set_ylabel(title)
        axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
        axes.grid(alpha=0.3)
    panels[0].legend(loc="lower right")
    panels[-1].set_xlabel("minutes")
    return canvas


def table(runs: list[dict[str, Any]], failures: int) -> Table:
    """A row per run."""
    rows = [
        [
            run["name"], f"{run['samples'][-1]['t'] / 60:.1f}" if run["samples"] else "-", str(run["exit_code"]),
            str(run["frames"]["captured"]), str(run["frames"]["processed"]),
            str(sum(run["frames"]["dropped"].values())), str(run["frames"]["errors"]),
            f"{run['least_in_flight']} to {run['most_in_flight']}", "yes" if run["adds_up"] else "NO",
            str(run["reconnects"]), str(run["lines_lost"]), f"{run['rss_growth_mb']:+.2f} MB",
        ]
        for run in runs
    ]  # fmt: skip
    columns = [
        "run", "minutes", "exit code", "captured", "processed", "dropped", "errors", "in flight", "adds up",
        "reconnects", "lines lost", "memory since the first minute",
    ]  # fmt: skip
    note = f"The stream's server failed {failures} times. At most {MAX_IN_FLIGHT} frames may be in flight."
    return Table("Soak", columns, rows, note)


@click.command(help=__doc__)
@click.option("--minutes", default=60.0, show_default=True, help="Duration.")
@click.option("--every", default=2.0, show_default=True, metavar="S", help="Seconds between two samples.")
@results_command(plot)
def main(minutes: float, every: float) -> Results:
    """Run both, sample, stop them, report."""
    results = Results("soak", "Does a run of hours stay stable?")
    server = FailingServer()
    server.up.wait()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [
            Run("demo", ["--source", "demo:320x240,endless", "--realtime"], folder),
            Run("stream", ["--source", f"http://127.0.0.1:{server.port}/video"], folder),
        ]
        started = time.monotonic()
        try:
            while (t := time.monotonic() - started) < 60 * minutes:
                for run in runs:
                    run.sample(t)
                time.sleep(every)
        finally:
            ended = [run.end() for run in runs]
    results.tables.append(table(ended, server.failures))
    results.values = {"deaths": server.failures, "runs": ended}
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.soak")
