"""JSON lines and CSV: whole lines, appended under the final name so that the file can be tailed."""

import contextlib
import io
import itertools
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fer_edge.console import CLEAR_LINE
from fer_edge.errors import OutputError
from fer_edge.files import PRIVATE, is_temporary, sync
from fer_edge.guards import portable
from fer_edge.guards.locks import try_lock
from fer_edge.guards.text import printable, text_cell
from fer_edge.results import BOX_DECIMALS, PROBABILITY_DECIMALS, FrameResult
from fer_edge.sentences import image_line, left_out_line
from fer_edge.sinks.base import Published, Sink

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation

log = logging.getLogger(__name__)

MAX_QUEUED = 256  # results
NOT_OPEN = -1  # no file descriptor


class TextSink(Sink):
    """Whole lines to a file or to stdout ("-"); a write that the disk refuses leaves no partial line.

    A file gets its lines once a second; stdout, a terminal and a pipe get them at once.
    header: the first lines of every piece of a rotated file. A result's lines stay in one piece.
    first_bytes: how every line begins; "" if there is a header.
    """

    needs_image = False
    first_bytes = b""

    def __init__(self, target: str, header: str = "", rotation: "Rotation | None" = None) -> None:
        self.target = target
        self._header = header.encode()
        self._rotation = None if target == "-" else rotation
        self._queued: list[bytes] = []  # the lines of one result per item
        self._open_piece(may_append=True)

    def _open_piece(self, may_append: bool = False) -> None:
        """Open the output. may_append: to a rotated file of an earlier run that has room, where a new one would do."""
        self._size = self._results = 0  # of this piece
        self._started = time.monotonic()
        self._to_disk = self._is_new = False
        self._descriptor = NOT_OPEN
        try:
            if self.target != "-":
                self._open_file(may_append)
            elif (stream := self._stream()) is not None:
                self._descriptor = os.dup(stream.fileno())
            else:
                raise OutputError(f"{self.option or f'--{self.name}'} -: stdout is closed")
            self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            self._at_once = self.target == "-" or not self._is_file
        except OSError as error:
            raise OutputError(f"{self.target} can't be written: {error.strerror}") from error

    def _open_file(self, may_append: bool) -> None:
        path, rotation, mode = Path(self.target), self._rotation, None
        size = self._size_to_append_to(path) if may_append and rotation is not None else 0
        if rotation is not None and not size:
            mode = rotation.rotate(path)
        self._is_new = not os.path.lexists(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | portable.O_CLOEXEC | portable.O_BINARY, PRIVATE)
        self._take(path, is_emptied=not size)
        if size:
            self._size = self._results = size  # at least one result: the next one may begin a new piece
            os.lseek(self._descriptor, 0, os.SEEK_END)
            assert rotation is not None
            self._started -= rotation.age_s(path)
        elif rotation is not None and path.is_file():
            if mode is not None:
                portable.set_mode(self._descriptor, mode)
            rotation.begin(path)

    def _take(self, path: Path, is_emptied: bool) -> None:
        """Lock the opened file itself, which another process may write under the name of a hard link."""
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return
        if not is_temporary(path) and try_lock(self._descriptor) is False:
            os.close(self._descriptor)
            raise OutputError(f"{path} is being written under another name: name another file")
        if is_emptied:
            os.ftruncate(self._descriptor, 0)

    def _size_to_append_to(self, path: Path) -> int:
        """The size of a file in whole lines of this kind, with room for more; 0 for any other."""
        assert self._rotation is not None
        with contextlib.suppress(OSError), path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            starts = self._header or self.first_bytes
            if path.is_file() and file.read(len(starts)) == starts:
                file.seek(-1, os.SEEK_END)
                whole = file.read(1) == b"\n"  # a power cut may leave half a line
                if whole and not self._rotation.is_complete(size, self._rotation.age_s(path)):
                    return size
        return 0

    def lines_of(self, result: FrameResult) -> str:
        """The lines of a result, each with its line feed; "" if it has none."""
        raise NotImplementedError

    def _stream(self) -> TextIO | None:
        """The stream that "-" stands for; None if our parent closed it."""
        return sys.stdout

    def write(self, item: Published) -> None:
        self.add_lines(self.lines_of(item.result))

    def add_lines(self, lines: str) -> None:
        """Queue lines, or write them at once where a reader may wait for them."""
        self._queued.append(lines.encode(errors="surrogateescape"))  # file names are bytes
        if self._at_once or len(self._queued) >= MAX_QUEUED:
            self._write_queued()

    def flush(self) -> None:
        self._write_queued()
        if self._to_disk:  # a power cut then loses one second, not the half minute that the kernel may wait
            self._to_disk = False
            sync(self._descriptor)

    def _write_queued(self) -> None:
        queued, self._queued = self._queued, []
        if self._rotation is None or not self._is_file or not queued:
            self._append(queued)
            return
        while queued:
            now = time.monotonic()
            if self._results and self._rotation.is_complete(self._size + len(queued[0]), now - self._started):
                self._close_piece()
                self._open_piece()
            sizes = itertools.accumulate(map(len, queued), initial=self._size or len(self._header))
            fitting = sum(not self._rotation.is_complete(size, 0) for size in itertools.islice(sizes, 1, None))
            fitting = max(fitting, 1)  # a result larger than a piece gets its own
            self._append(queued[:fitting])
            queued = queued[fitting:]

    def _append(self, results: list[bytes]) -> None:
        header = b"" if self._size else self._header
        data, done = header + b"".join(results), 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._descriptor, data[done:])
                except BlockingIOError:  # a full pipe that another process has set to not wait
                    import select

                    select.select([], [self._descriptor], [])
        except OSError:
            partial = done - (data.rfind(b"\n", 0, done) + 1)
            with contextlib.suppress(OSError):  # a pipe can't be truncated
                os.ftruncate(self._descriptor, os.lseek(self._descriptor, -partial, os.SEEK_CUR))
            raise
        finally:
            ends = itertools.accumulate(map(len, results), initial=len(header))
            self._note_written(sum(end <= done for end in itertools.islice(ends, 1, None)))
            self._size += done
            self._results += len(results)
            self._to_disk |= self._is_file and done > 0

    def _note_written(self, results: int) -> None:
        """Count results whose lines are in the output."""
        self.written += results

    def _close_piece(self) -> None:
        descriptor, self._descriptor = self._descriptor, NOT_OPEN
        if descriptor == NOT_OPEN:  # the next piece could not be opened
            return
        try:
            if self._to_disk:
                sync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        try:
            self._write_queued()
        finally:
            self._close_piece()

    def discard(self) -> None:
        if self._is_new and not self.written:
            Path(self.target).unlink()


class JsonSink(TextSink):
    """A JSON line per frame, to a file or "-" for stdout."""

    name = "json"
    first_bytes = b'{"schema":1,"frame":'

    def __init__(self, target: str, rotation: "Rotation | None" = None) -> None:
        super().__init__(target, rotation=rotation)

    def lines_of(self, result: FrameResult) -> str:
        # ASCII only: an image's file name need not be Unicode.
        return json.dumps(result.to_dict(), separators=(",", ":"), allow_nan=False) + "\n"


class CsvSink(TextSink):
    """A row per face: frame, t, id, x, y, w, h, score, emotion, confidence, a column per label, unsure, time, file.

    unsure is 0 or 1. with_time: the results have a time of day. with_file: the results come from several files.
    """

    name = "csv"

    def __init__(
        self, target: str, labels: Sequence[str], rotation: "Rotation | None" = None, *, with_time: bool = False,
        with_file: bool = False,
    ) -> None:  # fmt: skip
        columns = ["frame", "t", "id", "x", "y", "w", "h", "score", "emotion", "confidence", *labels]
        super().__init__(target, _csv([[*columns, "unsure", *["time"] * with_time, *["file"] * with_file]]), rotation)
        self._labels, self._with_time, self._with_file = labels, with_time, with_file

    def lines_of(self, result: FrameResult) -> str:
        return _csv(
            [
                result.frame, round(result.t, 6), face.track_id,
                *(round(value, BOX_DECIMALS) for value in face.box), round(face.score, 4), face.emotion,
                round(face.confidence, PROBABILITY_DECIMALS),
                *(round(face.probabilities[label], PROBABILITY_DECIMALS) for label in self._labels),
                int(face.unsure), *[result.time] * self._with_time, *[result.file] * self._with_file,
            ]
            for face in result.faces
        )  # fmt: skip


class PredictionSink(TextSink):
    """A row per cropped face: row (1 = the first), emotion, confidence, then a column per label."""

    name = "csv"

    def __init__(self, target: str, labels: Sequence[str], rotation: "Rotation | None" = None) -> None:
        super().__init__(target, _csv([["row", "emotion", "confidence", *labels]]), rotation)
        self._labels = labels

    def lines_of(self, result: FrameResult) -> str:
        return _csv(
            [
                result.frame + 1, face.emotion, round(face.confidence, PROBABILITY_DECIMALS),
                *(round(face.probabilities[label], PROBABILITY_DECIMALS) for label in self._labels),
            ]
            for face in result.faces
        )  # fmt: skip


class ImageLineSink(TextSink):
    """A sentence per image on stdout: what was seen in it. On stderr if `stdout_taken` by other results.

    Another one is logged if most faces were left out.
    """

    name = option = "stdout"

    def __init__(self, stdout_taken: bool) -> None:
        self._to_stderr = stdout_taken
        super().__init__("-")
        self.target = ""
        self._before = CLEAR_LINE if os.isatty(self._descriptor) else ""  # a status line may be there
        encoding = getattr(self._stream(), "encoding", "")
        self._encoding = "utf-8" if encoding.lower().replace("-", "") == "utf8" else "ascii"

    def _stream(self) -> TextIO | None:
        return sys.stderr if self._to_stderr else sys.stdout

    def lines_of(self, result: FrameResult) -> str:
        line = printable(image_line(result)).encode(self._encoding, errors="backslashreplace").decode()
        return f"{self._before}{line}\n"

    def write(self, item: Published) -> None:
        super().write(item)
        result = item.result
        if note := left_out_line(result.file or f"image {result.frame}", result.left_out, len(result)):
            log.info("%s", note)

    def _append(self, results: list[bytes]) -> None:
        try:
            super()._append(results)
        except BrokenPipeError:
            if not self._to_stderr:  # a closed stderr does not end the run
                raise


def _csv(rows: Iterable[Sequence[object]]) -> str:
    import csv  # JSON lines do without

    text = io.StringIO()
    safe = ([text_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(safe)
    return text.getvalue()
