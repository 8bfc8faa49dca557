"""Does a run of hours stay as it began? The endless demo, and beside it a stream whose server dies every minute.

Memory, threads, file handles, the size of the (rotated) results and the frames in flight, which are what the sum
captured = processed + dropped + errors + in flight leaves, are taken from both runs every few seconds and drawn over
time.

    python -m benchmarks.speed.soak --minutes 60 --json soak.json --plot soak.png
"""

import contextlib
import itertools
import json
import os
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

from fer_edge.console import run_main
from fer_edge.demo.scene import draw_scene
from fer_edge.files import write_json
from fer_edge.opencv import cv2
from fer_edge.sinks.rotation import numbered_pieces
from fer_edge.system import machine_info

FPS = 10
ALIVE_S, DEAD_S = 60.0, 5.0
WARM_S = 60.0  # from here on memory should stay as it is
MOST_IN_FLIGHT = 4  # one for the detector, one in it, one between it and the classifier, one in that
ROTATE, KEEP = "1MB", 3


class DyingServer:
    """Motion JPEG over HTTP on 127.0.0.1; cuts every line and refuses new ones for DEAD_S every ALIVE_S."""

    def __init__(self) -> None:
        self._pictures = [cv2.imencode(".jpg", draw_scene(i / FPS, (320, 240)))[1].tobytes() for i in range(10 * FPS)]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.deaths = 0
        self.alive = threading.Event()
        threading.Thread(target=self._live_and_die, daemon=True).start()

    def _live_and_die(self) -> None:
        while True:
            with socket.create_server(("127.0.0.1", self.port)) as listening:
                self.alive.set()
                threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
                time.sleep(ALIVE_S)
                self.alive.clear()
                self.deaths += 1
                listening.shutdown(socket.SHUT_RDWR)  # wakes the accept
            time.sleep(DEAD_S)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._send, args=(listening.accept()[0],), daemon=True).start()

    def _send(self, line: socket.socket) -> None:
        head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        with line, contextlib.suppress(OSError):
            line.recv(4096)
            line.sendall(head)
            for picture in itertools.cycle(self._pictures):
                if not self.alive.is_set():
                    return
                line.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture))
                line.sendall(picture + b"\r\n")
                time.sleep(1 / FPS)


class Run:
    """A fer-edge process and what was seen of it over time."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self.name, self.samples = name, list[dict[str, float]]()
        self._report = folder / f"{name}.json"
        command = [sys.executable, "-m", "fer_edge", "--headless", "--threads", "1", *arguments]
        self._lines = folder / f"{name}.jsonl"
        outputs = ["--json", str(self._lines), "--rotate-output", ROTATE, "--keep-output", str(KEEP)]
        self.process = subprocess.Popen([*command, *outputs, "--report", str(self._report)], stderr=subprocess.DEVNULL)

    def sample(self, t: float) -> None:
        """Note memory in MB, threads, file handles, frames and the size of the results, if the process still runs.

        The frames are those of the report that the last sample asked for.
        """
        folder = Path(f"/proc/{self.process.pid}")
        with contextlib.suppress(OSError):
            frames = json.loads(self._report.read_text())["frames"] if self._report.exists() else None
            if self._started():
                self.process.send_signal(signal.SIGUSR1)
            pages = int((folder / "statm").read_text().split()[1])
            self.samples.append(
                {
                    "t": round(t, 1),
                    "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
                    "threads": len(list((folder / "task").iterdir())),
                    "handles": len(list((folder / "fd").iterdir())),
                    "results_mb": sum(file.stat().st_size for file in self._pieces()) / 1e6,
                    "in_flight": frames["in_flight"] if frames else 0,
                    "processed": frames["processed"] if frames else 0,
                }
            )

    def _started(self) -> bool:
        """Whether it has results, and so listens to SIGUSR1, which would end it before."""
        return self._lines.exists() and self._lines.stat().st_size > 0

    def _pieces(self) -> list[Path]:
        numbered = numbered_pieces(self._lines)
        return [*(numbered[number] for number in sorted(numbered)), self._lines]

    def end(self) -> dict[str, Any]:
        """Stop it as systemd would; its figures, and whether its frames add up."""
        died_early = self.process.poll() is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        report: dict[str, Any] = json.loads(self._report.read_text())
        frames = report["frames"]
        parts = frames["processed"] + sum(frames["dropped"].values()) + frames["errors"] + frames["in_flight"]
        numbers = [json.loads(line)["frame"] for file in self._pieces() for line in file.read_text().splitlines()]
        warm = [sample["rss_mb"] for sample in self.samples if sample["t"] >= WARM_S] or [0.0]
        quarter = max(1, len(warm) // 4)
        return {
            "name": self.name,
            "died_early": died_early,
            "exit_code": code,
            "frames": frames,
            "adds_up": parts == frames["captured"] and frames["in_flight"] == 0,
            "most_in_flight": max((sample["in_flight"] for sample in self.samples), default=0),
            "least_in_flight": min((sample["in_flight"] for sample in self.samples), default=0),
            "in_flight_bound": MOST_IN_FLIGHT,
            "lines_lost": report["sinks"]["json"]["lost"],
            "kept_lines_in_order": numbers == sorted(set(numbers)),
            "reconnects": report["reconnects"],
            "latency_ms": report["latency_ms"]["end_to_end"],
            "rss_growth_mb": round(sum(warm[-quarter:]) / quarter - sum(warm[:quarter]) / quarter, 2),
            "samples": self.samples,
        }


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Memory, threads, handles and size of the results of each run over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = {
        "rss_mb": "memory, MB", "threads": "threads", "handles": "file handles", "in_flight": "frames in flight",
        "processed": "frames processed", "results_mb": "results kept, MB",
    }  # fmt: skip
    fig, axes = plt.subplots(len(rows), 1, sharex=True, figsize=(9, 11), layout="constrained")
    for axis, (key, title) in zip(axes, rows.items(), strict=True):
        for result in results:
            minutes = [sample["t"] / 60 for sample in result["samples"]]
            axis.plot(minutes, [sample[key] for sample in result["samples"]], label=result["name"])
        axis.set_ylabel(title)
        axis.set_ylim(0, 1.15 * axis.get_ylim()[1])
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower right")
    axes[-1].set_xlabel("minutes")
    fig.savefig(path, dpi=110)


def table(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of each run, for the report."""
    rows = [
        [
            result["name"], f"{result['samples'][-1]['t'] / 60:.1f}" if result["samples"] else "-",
            str(result["frames"]["captured"]), str(result["frames"]["processed"]),
            str(sum(result["frames"]["dropped"].values())), str(result["frames"]["errors"]),
            f"{result['least_in_flight']} to {result['most_in_flight']}", "yes" if result["adds_up"] else "NO",
            str(result["reconnects"]), str(result["lines_lost"]), f"{result['rss_growth_mb']:+.2f} MB",
        ]
        for result in results
    ]  # fmt: skip
    columns = [
        "run", "minutes", "captured", "processed", "dropped", "errors", "in flight", "adds up", "reconnects",
        "lines lost", "memory since the first minute",
    ]  # fmt: skip
    return {"title": "Soak", "columns": columns, "rows": rows}


@click.command(help=__doc__)
@click.option("--minutes", default=60.0, show_default=True, help="How long.")
@click.option("--every", default=2.0, show_default=True, metavar="S", help="Seconds between two samples.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw it here (.png).")
def main(minutes: float, every: float, json_file: Path | None, plot_file: Path | None) -> None:
    """Run both, sample, end them, tell."""
    server = DyingServer()
    server.alive.wait()
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
            results = [run.end() for run in runs]
    for result in results:
        click.echo(
            f"{result['name']:8} exit {result['exit_code']}, {result['frames']}, adds up: {result['adds_up']}, "
            f"in flight {result['least_in_flight']} to {result['most_in_flight']} of {result['in_flight_bound']}, "
            f"{result['lines_lost']} lines lost, {result['reconnects']} reconnects of {server.deaths} deaths, "
            f"memory {result['rss_growth_mb']:+} MB"
        )
    if json_file is not None:
        write_json(json_file, {
            "benchmark": "soak", "question": "Does a run of hours stay as it began?", "tables": [table(results)],
            "values": {"deaths": server.deaths, "runs": results}, "machine": machine_info(),
        })  # fmt: skip
    if plot_file is not None:
        plot(results, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed.soak")
