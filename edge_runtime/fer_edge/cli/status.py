"""The status line of a run, on a terminal or in a log, and the window's caption."""

import contextlib
import os
import sys
import time
import unicodedata

import click

from fer_edge.console import CLEAR_LINE
from fer_edge.guards.text import printable
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.sentences import BLOCKS, counted, duration, emotions_of, percent

STATUS_INTERVAL_S = 0.5
STATUS_INTERVAL_LOG_S = 10.0  # if stderr is a file or a journal
RATE_INTERVAL_S = 1.0
DEFAULT_WIDTH = 80  # of a terminal that does not report its own, such as a serial one or one that hung up
MAX_NAMED = 3  # faces; more are counted by emotion
MIN_PROGRESS, MIN_ELAPSED_S = 0.01, 2.0  # before that, the time left would be a guess


def write_stderr(text: str, end: str = "\n") -> None:
    """Write to stderr; a closed stderr does not end the run."""
    with contextlib.suppress(OSError):
        click.echo(text + end, nl=False, err=True)


def blocks_allowed() -> bool:
    """True if stderr can show block characters."""
    try:
        BLOCKS.encode(getattr(sys.stderr, "encoding", None) or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


class StatusLine:
    """The current emotions, the rate and, for files, the progress.

    One line rewritten in place on a terminal, a line every 10 s in a log.
    sources: how many sources the run has. source_number: of the current one, from 1; `begin` names its pipeline.
    shows_faces: False with --aggregate, which lets nothing about single faces out.
    """

    def __init__(self, results_on_stdout: bool, sources: int = 1, shows_faces: bool = True) -> None:
        self._shows_faces = shows_faces
        self._pipeline: Pipeline | None = None
        self.source_number, self._sources = 1, sources
        # Result lines and a status line that rewrites itself can't share a terminal.
        self._in_place = bool(sys.stderr and sys.stderr.isatty()) and not (results_on_stdout and sys.stdout.isatty())
        self._interval_s = STATUS_INTERVAL_S if self._in_place else STATUS_INTERVAL_LOG_S
        self._last = self._began = time.monotonic()
        self._before = self._counts = (0, 0)
        self._rates = (0.0, 0.0)
        self._next_rates = self._last + RATE_INTERVAL_S
        self._rates_from = self._last

    def begin(self, pipeline: Pipeline) -> None:
        """Show the state of `pipeline` from now on."""
        self._before = self._count()
        self._pipeline = pipeline
        self._began = time.monotonic()

    def _count(self) -> tuple[int, int]:
        """Frames captured and processed, of all sources so far."""
        if self._pipeline is None:
            return self._before
        stats, before = self._pipeline.stats, self._before
        return before[0] + stats.captured, before[1] + stats.processed

    def _refresh_rates(self, now: float) -> None:
        counts, elapsed = self._count(), max(now - self._rates_from, 1e-3)
        captured, processed = ((new - old) / elapsed for new, old in zip(counts, self._counts, strict=True))
        self._rates = captured, processed
        self._counts, self._rates_from, self._next_rates = counts, now, now + RATE_INTERVAL_S

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
        if self._in_place:
            write_stderr(f"{CLEAR_LINE}{fitted(self._text(self._pipeline, now), _width() - 1)}", end="")
        else:
            stats = self._pipeline.stats
            counts = [counted(stats.processed, "frame")]
            if self._shows_faces:
                counts.append(counted(stats.tracks, "face"))
            if not self._pipeline.options.lossless:
                counts.append(f"{self._pipeline.dropped.total():,} dropped")
            write_stderr(" | ".join(filter(None, (self._text(self._pipeline, now), ", ".join(counts)))))

    def _text(self, pipeline: Pipeline, now: float) -> str:
        parts = [f"{self.source_number}/{self._sources} {printable(pipeline.source.name)}"] if self._sources > 1 else []
        if self._shows_faces:
            parts.append(emotions_of(pipeline.summary.now, MAX_NAMED) or "no face")
        if any(self._rates):
            parts.append(self.caption())
        progress = pipeline.progress
        if progress is not None:
            parts.append(_progress(progress, now - self._began))
        return " | ".join(parts)

    def clear(self) -> None:
        """Erase the line."""
        if self._in_place:
            write_stderr(CLEAR_LINE, end="")


def _width() -> int:
    """The columns of the terminal on stderr."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def _progress(done: float, elapsed_s: float) -> str:
    """Such as "42 % done, 7 s left"; without the time while it can't be known."""
    text = f"{percent(done)} done"
    if done < MIN_PROGRESS or elapsed_s < MIN_ELAPSED_S:
        return text
    left_s = elapsed_s * (1 - done) / done
    return f"{text}, {f'{left_s:.0f} s' if left_s < 60 else duration(left_s)} left"


def fitted(text: str, width: int) -> str:
    """The beginning of `text` that fits `width` columns of a terminal, in which some characters take two."""
    used = 0
    for index, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > width:
            return text[:index]
    return text
