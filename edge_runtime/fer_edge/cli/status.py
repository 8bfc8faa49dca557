"""The status line of a run, on a terminal or in a log, and the window's caption."""

import contextlib
import os
import sys
import time

import click

from fer_edge.console import CLEAR_LINE
from fer_edge.pipeline.pipeline import Pipeline

STATUS_INTERVAL_S = 1.0
STATUS_INTERVAL_LOG_S = 10.0  # if stderr is a file or a journal


def write_stderr(text: str, end: str = "\n") -> None:
    """Write to stderr; a closed stderr does not end the run."""
    with contextlib.suppress(OSError):
        click.echo(text + end, nl=False, err=True)


class StatusLine:
    """The rates of the last second: one line rewritten in place on a terminal, a line every 10 s in a log.

    sources: the number of sources of the run. `begin` names the pipeline of the next one.
    """

    def __init__(self, results_on_stdout: bool, sources: int = 1) -> None:
        self._pipeline: Pipeline | None = None
        self._source, self._sources = 0, sources
        # Result lines and a status line that rewrites itself can't share a terminal.
        self._in_place = bool(sys.stderr and sys.stderr.isatty()) and not (results_on_stdout and sys.stdout.isatty())
        self._interval_s = STATUS_INTERVAL_S if self._in_place else STATUS_INTERVAL_LOG_S
        self._last = time.monotonic()
        self._before = self._counts = (0, 0, 0)
        self._rates = (0.0, 0.0, 0.0)
        self._next_rates = self._last + STATUS_INTERVAL_S
        self._rates_from = self._last

    def begin(self, pipeline: Pipeline) -> None:
        """Show the state of `pipeline` from now on."""
        self._before = self._count()
        self._pipeline = pipeline
        self._source += 1

    def skip(self) -> None:
        """Count a source that could not be opened."""
        self._source += 1

    def _count(self) -> tuple[int, int, int]:
        """Frames captured, processed and searched for faces, of all sources so far."""
        if self._pipeline is None:
            return self._before
        stats, before = self._pipeline.stats, self._before
        return before[0] + stats.captured, before[1] + stats.processed, before[2] + stats.detect_rate.count

    def _refresh_rates(self, now: float) -> None:
        counts = self._count()
        elapsed = max(now - self._rates_from, 1e-3)
        self._rates = tuple((new - old) / elapsed for new, old in zip(counts, self._counts, strict=True))  # type: ignore[assignment]
        self._counts, self._rates_from, self._next_rates = counts, now, now + STATUS_INTERVAL_S

    def caption(self) -> str:
        """The window's caption: frames processed and captured per second; empty in the first second."""
        if not any(self._rates) or self._pipeline is None:
            return ""
        captured = "" if self._pipeline.options.lossless else f" of {self._rates[0]:.1f}"
        return f"{self._rates[1]:.1f} FPS{captured}"

    def update(self) -> None:
        """Write the line if its interval has passed."""
        now = time.monotonic()
        if now >= self._next_rates:
            self._refresh_rates(now)
        if now - self._last < self._interval_s or self._pipeline is None:
            return
        self._last = now
        stats = self._pipeline.stats
        number = f"{self._source}/{self._sources} {self._pipeline.source.name}  " if self._sources > 1 else ""
        text = (
            f"{number}capture {self._rates[0]:5.1f}  processed {self._rates[1]:5.1f}  "
            f"detect {self._rates[2]:5.1f} frames/s"
            f"  | {stats.processed} frames, {stats.faces_seen} faces, {self._pipeline.dropped.total()} dropped"
        )
        if self._in_place:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            write_stderr(f"{CLEAR_LINE}{text[: width - 1]}", end="")
        else:
            write_stderr(text)

    def clear(self) -> None:
        """Erase the line."""
        if self._in_place:
            write_stderr(CLEAR_LINE, end="")
