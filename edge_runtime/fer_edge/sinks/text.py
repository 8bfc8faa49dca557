"""JSON lines and CSV: appended in whole lines under their final name, so that they can be tailed."""

import contextlib
import csv
import io
import itertools
import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.errors import OutputError
from fer_edge.files import sync
from fer_edge.results import BOX_DECIMALS, PROBABILITY_DECIMALS, FrameResult
from fer_edge.sinks.base import Published, Sink

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation

MAX_WAITING = 256
NOT_OPEN = -1


class _TextSink(Sink):
    """Whole lines to a file or to stdout ("-"); a write that the disk refuses leaves no half line behind.

    Every piece of a rotated file begins with `head`. A result's lines stay in one piece.
    """

    needs_image = False

    def __init__(self, target: str, head: str = "", rotation: "Rotation | None" = None) -> None:
        self.target = target
        self._head = head.encode()
        self._rotation = None if target == "-" else rotation
        self._waiting: list[bytes] = []  # the lines of a result each
        self._open_piece()

    def _open_piece(self) -> None:
        self._size = self._results = 0  # of this piece
        self._begun = time.monotonic()
        self._to_disk = self._is_new = False
        self._descriptor = NOT_OPEN
        try:
            if self.target != "-":
                if self._rotation is not None:
                    self._rotation.put_aside(Path(self.target))
                self._is_new = not os.path.lexists(self.target)
                self._descriptor = os.open(self.target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            elif sys.stdout is not None:
                self._descriptor = os.dup(sys.stdout.fileno())
            else:
                raise OutputError(f"--{self.name} -: stdout is closed")
            self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except OSError as error:
            raise OutputError(f"{self.target} can't be written: {error.strerror}") from error

    def lines_of(self, result: FrameResult) -> str:
        """The lines of a result, each with its line feed; maybe none."""
        raise NotImplementedError

    def write(self, item: Published) -> None:
        self._waiting.append(self.lines_of(item.result).encode())
        if len(self._waiting) >= MAX_WAITING:
            self._write_waiting()

    def flush(self) -> None:
        self._write_waiting()
        if self._to_disk:  # so that a power cut takes a second and not the half-minute that the kernel may wait
            self._to_disk = False
            sync(self._descriptor)

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._rotation is None or not self._is_file or not waiting:
            self._append(waiting)
            return
        while waiting:
            now = time.monotonic()
            if self._results and self._rotation.is_complete(self._size + len(waiting[0]), now - self._begun):
                self._close_piece()
                self._open_piece()
            sizes = itertools.accumulate(map(len, waiting), initial=self._size or len(self._head))
            fitting = sum(not self._rotation.is_complete(size, 0) for size in itertools.islice(sizes, 1, None))
            fitting = max(fitting, 1)  # one that is larger than a piece gets one for itself
            self._append(waiting[:fitting])
            waiting = waiting[fitting:]

    def _append(self, results: list[bytes]) -> None:
        head = b"" if self._size else self._head
        data, done = head + b"".join(results), 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            half_line = done - (data.rfind(b"\n", 0, done) + 1)
            with contextlib.suppress(OSError):  # a pipe has no end to cut off
                os.ftruncate(self._descriptor, os.lseek(self._descriptor, -half_line, os.SEEK_CUR))
            raise
        finally:
            ends = itertools.accumulate(map(len, results), initial=len(head))
            self.written += sum(end <= done for end in itertools.islice(ends, 1, None))
            self._size += done
            self._results += len(results)
            self._to_disk |= self._is_file and done > 0

    def _close_piece(self) -> None:
        descriptor, self._descriptor = self._descriptor, NOT_OPEN
        if descriptor == NOT_OPEN:  # a next piece could not be opened
            return
        try:
            if self._to_disk:
                sync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        try:
            self._write_waiting()
        finally:
            self._close_piece()

    def discard(self) -> None:
        if self._is_new and not self.written:
            Path(self.target).unlink()


class JsonSink(_TextSink):
    """A JSON line per frame, to a file or "-" for stdout; lines appear at least once a second."""

    name = "json"

    def __init__(self, target: str, rotation: "Rotation | None" = None) -> None:
        super().__init__(target, rotation=rotation)

    def lines_of(self, result: FrameResult) -> str:
        # ASCII only: a picture's file name need not be Unicode.
        return json.dumps(result.to_dict(), separators=(",", ":"), allow_nan=False) + "\n"


class CsvSink(_TextSink):
    """A row per face: frame, t, id, x, y, w, h, score, emotion, confidence, then a column per label."""

    name = "csv"

    def __init__(self, target: str, labels: Sequence[str], rotation: "Rotation | None" = None) -> None:
        columns = ["frame", "t", "id", "x", "y", "w", "h", "score", "emotion", "confidence", *labels]
        super().__init__(target, _csv([columns]), rotation)
        self._labels = labels

    def lines_of(self, result: FrameResult) -> str:
        return _csv(
            [
                result.frame, round(result.t, 6), face.track_id,
                *(round(value, BOX_DECIMALS) for value in face.box), round(face.score, 4), face.emotion,
                round(face.confidence, PROBABILITY_DECIMALS),
                *(round(face.probabilities[label], PROBABILITY_DECIMALS) for label in self._labels),
            ]
            for face in result.faces
        )  # fmt: skip


class PredictionSink(_TextSink):
    """A row per face of a source whose pictures are faces: row (1 = the first), emotion, confidence, the labels."""

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


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
