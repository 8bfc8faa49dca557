"""Rotate the outputs of long runs: rename a piece that is large or old enough, and delete the oldest pieces."""

import contextlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import OutputError

log = logging.getLogger(__name__)

DEFAULT_KEEP = 10


@dataclass(frozen=True)
class Rotation:
    """When a piece of an output is complete, and how many complete pieces are kept beside the newest.

    The newest piece has the output's name, faces.jsonl; older ones are faces-000001.jsonl and so on, a higher number
    being newer. No number is used again while a piece exists. Nothing is overwritten: a file of an earlier run becomes
    a piece, too. max_bytes, max_s (seconds of running): bounds at which a piece is complete; None for no bound.
    """

    max_bytes: int | None = None
    max_s: float | None = None
    keep: int = DEFAULT_KEEP

    def is_complete(self, size_bytes: int, age_s: float) -> bool:
        """True if a piece of that size, including the next result, or age takes no more results."""
        too_large = self.max_bytes is not None and size_bytes > self.max_bytes
        return too_large or (self.max_s is not None and age_s >= self.max_s)

    def rotate(self, path: Path) -> None:
        """Free the name `path`: rename the file to its number, and delete the oldest pieces beyond `keep`.

        OutputError if the file can't be renamed. A device or pipe stays.
        """
        if not path.is_file():
            return
        pieces = numbered_pieces(path)
        number = max(pieces, default=0) + 1
        try:
            path.rename(_piece(path, number))
        except OSError as error:
            raise OutputError(f"{path} can't be renamed for rotation: {error.strerror}") from error
        for old in sorted(pieces)[: max(0, len(pieces) + 1 - self.keep)]:
            with contextlib.suppress(OSError):  # the next rotation tries again
                pieces[old].unlink()
                log.debug("%s deleted: --keep-output %d", pieces[old], self.keep)


def _piece(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number:06}{path.suffix}")


def numbered_pieces(path: Path) -> dict[int, Path]:
    """The rotated pieces of the output `path`, by number."""
    name = re.compile(re.escape(path.stem) + r"-(\d{6,})" + re.escape(path.suffix))
    found = ((name.fullmatch(entry), entry) for entry in os.listdir(path.parent))  # noqa: PTH208 - names suffice
    return {int(match[1]): path.with_name(entry) for match, entry in found if match}


def remove_leftovers(path: Path) -> None:
    """Delete partial files beside `path` that belong to processes that no longer run (killed, or power lost)."""
    name = re.compile(re.escape(f".{path.stem}.") + r"(\d+)(?:\.sound)?\.part" + re.escape(path.suffix))
    for entry in os.listdir(path.parent):  # noqa: PTH208
        match = name.fullmatch(entry)
        if match and not _is_running(int(match[1])):
            with contextlib.suppress(OSError):
                path.with_name(entry).unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's process
        return True
    return True
