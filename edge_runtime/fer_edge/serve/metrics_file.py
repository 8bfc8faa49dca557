"""--metrics-file: the metrics in a file that node_exporter's textfile collector reads."""

import logging
import time
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, check_writable
from fer_edge.guards.locks import OutputLock
from fer_edge.serve.metrics import exposition
from fer_edge.serve.run_state import RunState
from fer_edge.sinks.base import Published, Sink

log = logging.getLogger(__name__)

INTERVAL_S = 15.0  # Prometheus usually reads once in 15 or 60 s
SUFFIX = ".prom"  # node_exporter reads no other files
OUR_START = b"# HELP fer_edge_"


class MetricsFileSink(Sink):
    """Writes the metrics every INTERVAL_S seconds, and the final ones at the end.

    The file is replaced as a whole, so a reader never sees half of it. A disk that is full is reported once, and the
    next attempt may succeed. written: results that the file's numbers include.

    Raises OutputError if the file can't be written, is not a metrics file of ours (unless `overwrite`), or another
    process writes it.
    """

    name, option, needs_image = "metrics-file", "--metrics-file", False

    def __init__(self, path: Path, state: RunState, overwrite: bool = False) -> None:
        check_writable(path, overwrite or _is_ours(path))
        if path.suffix != SUFFIX:
            log.warning("--metrics-file %s: node_exporter reads only files that end in %s", path, SUFFIX)
        self.target = str(path)
        self._path, self._state = path, state
        self._lock: OutputLock | None = OutputLock(path)
        self._taken = 0
        self._written_at: float | None = None
        self._failing = False

    def write(self, _item: Published) -> None:
        self._taken += 1

    def flush(self) -> None:
        if self._written_at is not None and time.monotonic() - self._written_at < INTERVAL_S:
            return
        self._written_at = time.monotonic()
        try:
            self._write_file()
        except OutputError as error:
            if not self._failing:
                log.warning("--metrics-file %s: tried again every %g s", error, INTERVAL_S)
            self._failing = True
        else:
            self._failing = False

    def _write_file(self) -> None:
        taken = self._taken
        text = exposition(self._state)
        # Without the suffix, node_exporter does not read the file that is being written.
        with atomic_write(self._path, keep_suffix=False) as part:
            part.write_bytes(text)
        self.written = taken

    def close(self) -> None:
        if self._lock is None:
            return
        try:
            self._write_file()
        finally:
            self._lock.release()
            self._lock = None


def _is_ours(path: Path) -> bool:
    """True for a file of an earlier run, which the next one replaces."""
    try:
        with path.open("rb") as file:
            return file.read(len(OUR_START)) == OUR_START
    except OSError:
        return False
