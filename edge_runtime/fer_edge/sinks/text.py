"""JSON lines and CSV: appended in whole lines under their final name, so that they can be tailed."""

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.results import BOX_DECIMALS, PROBABILITY_DECIMALS
from fer_edge.sinks.base import Published, Sink


class _LineWriter:
    """Whole lines to a file or to stdout ("-"); a write that the disk refuses leaves no half line behind."""

    def __init__(self, target: str) -> None:
        self._lines: list[bytes] = []
        if target == "-":
            self._descriptor = os.dup(sys.stdout.fileno())
            return
        try:
            self._descriptor = os.open(Path(target), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(f"{target} can't be written: {error.strerror}") from error

    def write(self, line: str) -> None:
        self._lines.append(line.encode())
        if len(self._lines) >= 256:
            self.flush()

    def flush(self) -> None:
        data, self._lines = b"".join(self._lines), []
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        try:
            self.flush()
        finally:
            os.close(self._descriptor)


class JsonSink(Sink):
    """A JSON line per frame, to a file or "-" for stdout; lines appear at least once a second."""

    name = "json"
    needs_picture = False

    def __init__(self, target: str) -> None:
        self._writer = _LineWriter(target)

    def write(self, item: Published) -> None:
        self._writer.write(json.dumps(item.result.to_dict(), separators=(",", ":"), ensure_ascii=False) + "\n")

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class CsvSink(Sink):
    """A row per face: frame, t, id, x, y, w, h, score, emotion, confidence, then a column per label."""

    name = "csv"
    needs_picture = False

    def __init__(self, target: str, labels: Sequence[str]) -> None:
        self._writer = _LineWriter(target)
        self._labels = labels
        self._row(["frame", "t", "id", "x", "y", "w", "h", "score", "emotion", "confidence", *labels])

    def _row(self, values: Sequence[object]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        self._writer.write(text.getvalue())

    def write(self, item: Published) -> None:
        for face in item.result.faces:
            self._row([
                item.result.frame, round(item.result.t, 6), face.track_id,
                *(round(value, BOX_DECIMALS) for value in face.box), round(face.score, 4), face.emotion,
                round(face.confidence, PROBABILITY_DECIMALS),
                *(round(face.probabilities[label], PROBABILITY_DECIMALS) for label in self._labels),
            ])  # fmt: skip

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
