"""JSON lines and CSV: appended in whole lines under their final name, so that they can be tailed."""

import contextlib
import csv
import io
import itertools
import json
import os
import sys
from collections.abc import Iterable, Sequence

from fer_edge.errors import OutputError
from fer_edge.results import BOX_DECIMALS, PROBABILITY_DECIMALS, FrameResult
from fer_edge.sinks.base import Published, Sink

MAX_WAITING = 256


class _TextSink(Sink):
    """Whole lines to a file or to stdout ("-"); a write that the disk refuses leaves no half line behind."""

    needs_picture = False

    def __init__(self, target: str, head: str = "") -> None:
        self._head = head.encode()
        self._waiting: list[bytes] = []  # the lines of a result each
        try:
            if target != "-":
                self._descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            elif sys.stdout is not None:
                self._descriptor = os.dup(sys.stdout.fileno())
            else:
                raise OutputError(f"--{self.name} -: stdout is closed")
        except OSError as error:
            raise OutputError(f"{target} can't be written: {error.strerror}") from error

    def lines_of(self, result: FrameResult) -> str:
        """The lines of a result, each with its line feed; maybe none."""
        raise NotImplementedError

    def write(self, item: Published) -> None:
        self._waiting.append(self.lines_of(item.result).encode())
        if len(self._waiting) >= MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        head, waiting, self._head, self._waiting = self._head, self._waiting, b"", []
        data, done = head + b"".join(waiting), 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            half_line = done - (data.rfind(b"\n", 0, done) + 1)
            with contextlib.suppress(OSError):  # a pipe has no end to cut off
                os.ftruncate(self._descriptor, os.lseek(self._descriptor, -half_line, os.SEEK_CUR))
            raise
        finally:
            ends = itertools.accumulate(map(len, waiting), initial=len(head))
            self.written += sum(end <= done for end in itertools.islice(ends, 1, None))

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._descriptor)


class JsonSink(_TextSink):
    """A JSON line per frame, to a file or "-" for stdout; lines appear at least once a second."""

    name = "json"

    def lines_of(self, result: FrameResult) -> str:
        # ASCII only: a picture's file name need not be Unicode.
        return json.dumps(result.to_dict(), separators=(",", ":"), allow_nan=False) + "\n"


class CsvSink(_TextSink):
    """A row per face: frame, t, id, x, y, w, h, score, emotion, confidence, then a column per label."""

    name = "csv"

    def __init__(self, target: str, labels: Sequence[str]) -> None:
        columns = ["frame", "t", "id", "x", "y", "w", "h", "score", "emotion", "confidence", *labels]
        super().__init__(target, _csv([columns]))
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

    def __init__(self, target: str, labels: Sequence[str]) -> None:
        super().__init__(target, _csv([["row", "emotion", "confidence", *labels]]))
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
