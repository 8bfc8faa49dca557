"""Rotate the outputs of long runs: rename a piece that is large or old enough, and delete the oldest pieces.

Beside an output, a hidden record lists the numbers of its pieces and when the newest one began. Only recorded pieces
are ever deleted: a file of the user may have a name like theirs, such as faces-202611.jsonl.
"""

import contextlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fer_edge.defaults import DEFAULT_KEEP_OUTPUT
from fer_edge.errors import OutputError
from fer_edge.files import write_json
from fer_edge.pipeline.clock import now_s

log = logging.getLogger(__name__)

MAX_SMALL = 10  # small pieces in the place of one large one
MAX_NUMBER = 999_999


@dataclass(frozen=True)
class Rotation:
    """When a piece of an output is complete, and how many complete pieces are kept beside the newest.

    The newest piece has the output's name, faces.jsonl; older ones are faces-000001.jsonl and so on, a higher number
    being newer. No number is used again while a piece exists. Nothing is overwritten: a file of an earlier run becomes
    a piece, too, unless the sink appends to it. max_bytes, max_s (seconds): bounds at which a piece is complete; None
    for no bound. keep: with max_bytes, more pieces are kept as long as all of them together are smaller than `keep`
    complete ones, so that many short runs don't delete what a long one wrote.
    """

    max_bytes: int | None = None
    max_s: float | None = None
    keep: int = DEFAULT_KEEP_OUTPUT

    def is_complete(self, size_bytes: int, age_s: float) -> bool:
        """True if a piece of that size, including the next result, or age takes no more results."""
        too_large = self.max_bytes is not None and size_bytes > self.max_bytes
        return too_large or (self.max_s is not None and age_s >= self.max_s)

    def age_s(self, path: Path) -> float:
        """Seconds since the newest piece began, through restarts; 0 if that is not recorded."""
        return max(0.0, now_s() - _read_record(path).began)

    def begin(self, path: Path) -> None:
        """Record that a new piece begins now. OutputError if the record can't be written."""
        _write_record(path, _read_record(path).pieces)

    def rotate(self, path: Path) -> int | None:
        """Free the name `path`: rename the file to its number, and delete the oldest pieces beyond `keep`.

        Returns the renamed file's permissions; None if there was no file. OutputError if it can't be renamed. A device
        or pipe stays.
        """
        if not path.is_file():
            return None
        ours = [number for number in _read_record(path).pieces if _piece(path, number).is_file()]
        number = max(numbered_pieces(path), default=0) + 1
        if ours and max(ours) < MAX_NUMBER:  # a stranger's number may be far above
            number = next(free for free in range(max(ours) + 1, number + 1) if not os.path.lexists(_piece(path, free)))
        if number > MAX_NUMBER:
            raise OutputError(f"{path} can't be rotated: {_piece(path, MAX_NUMBER)} exists: move it away")
        try:
            mode = path.stat().st_mode & 0o777
            path.rename(_piece(path, number))
        except OSError as error:
            raise OutputError(f"{path} can't be renamed for rotation: {error.strerror}") from error
        ours = self._pruned(path, [*ours, number])
        _write_record(path, ours)
        return mode

    def _pruned(self, path: Path, numbers: list[int]) -> list[int]:
        """Delete the oldest of our pieces that are too many; those that stay, oldest first."""
        sizes = [_size(_piece(path, number)) for number in numbers]
        while len(numbers) > self.keep and self._are_too_many(sizes):
            with contextlib.suppress(OSError):
                _piece(path, numbers[0]).unlink()
                log.debug("%s deleted: --keep-output %d", _piece(path, numbers[0]), self.keep)
            numbers, sizes = numbers[1:], sizes[1:]
        return numbers

    def _are_too_many(self, sizes: list[int]) -> bool:
        if self.max_bytes is None or len(sizes) > MAX_SMALL * self.keep:
            return True
        # A piece ends before the result that does not fit: half a piece counts as a whole one.
        return sum(min(self.max_bytes, 2 * size) for size in sizes) > self.keep * self.max_bytes


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _piece(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number:06}{path.suffix}")


def numbered_pieces(path: Path) -> dict[int, Path]:
    """The files that are named like rotated pieces of the output `path`, by number."""
    name = re.compile(re.escape(path.stem) + r"-(\d{6})" + re.escape(path.suffix), re.ASCII)
    found = ((name.fullmatch(entry), entry) for entry in os.listdir(path.parent))  # noqa: PTH208 - names suffice
    return {int(match[1]): path.with_name(entry) for match, entry in found if match}


def record_of(path: Path) -> Path:
    """The hidden file that lists the pieces of the output `path`."""
    return path.with_name(f".{path.name}.pieces")


class _Record(NamedTuple):
    """Numbers of our pieces, oldest first, and when the newest one began, in seconds since 1970."""

    pieces: list[int]
    began: float


def _read_record(path: Path) -> _Record:
    """The record of the output `path`; no pieces, and now, without a usable one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(record_of(path).read_text(encoding="utf-8"))
        pieces, began = record["pieces"], float(record["began"])
        if all(type(number) is int and 0 < number <= MAX_NUMBER for number in pieces):
            return _Record(sorted(pieces), began)
    return _Record([], now_s())


def _write_record(path: Path, pieces: list[int]) -> None:
    write_json(record_of(path), {"pieces": pieces, "began": now_s()})
