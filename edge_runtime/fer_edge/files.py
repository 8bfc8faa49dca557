"""Output files: refused when they exist, written beside their name and renamed into place."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_edge.errors import OutputError


def check_output(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `path` can't be written: an existing file, a missing or read-only folder."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: name another file, or pass --overwrite to replace it")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder, so {path.name} can't be written there: create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{folder} is not writable, so {path.name} can't be written there")


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; rename it to `path` on success, remove it on failure.

    The temporary name keeps the suffix, by which OpenCV and others choose a format.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all; not-a-number is refused."""
    with written_beside(path) as part:
        part.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
