"""Where the outputs of a run go: checked before anything is opened, and named for several sources."""

import contextlib
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.options import OutputOptions
from fer_edge.errors import OutputError
from fer_edge.files import check_writable
from fer_edge.guards.names import MAX_NAME_BYTES, fitting
from fer_edge.sources import Source

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation


LONGER_BY = 10  # bytes that rotation adds to the names of pieces and of their record


class OutputFolder:
    """The folder of --output for several sources: each source's output lies in it under the source's own name.

    A video becomes an .mp4; a folder or pattern of images becomes a folder. A name that is taken gets a number.
    """

    def __init__(self, folder: Path, sources: Sequence[str]) -> None:
        self._folder, self._is_new = folder, not folder.exists()
        self._sources = {os.path.realpath(source) for source in sources}
        self._taken: set[str] = set()

    def path_for(self, source: Source) -> Path:
        """The path of the output of `source`; creates the folder. OutputError if that path is itself a source."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self._folder} can't be created: {error.strerror}") from error
        stem, suffix = _output_name(source)
        name, number = fitting(stem, suffix), 1
        while name.casefold() in self._taken:
            number += 1
            name = fitting(stem, f"-{number}{suffix}")
        self._taken.add(name.casefold())
        path = self._folder / name
        if os.path.realpath(path) in self._sources:
            raise OutputError(f"{path} is one of the sources: name another folder for --output")
        return path

    def discard(self) -> None:
        """Remove the folder if it is new and empty."""
        if self._is_new:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


def _output_name(source: Source) -> tuple[str, str]:
    """The stem and suffix of the output of `source`, one of several."""
    from fer_edge.sinks.images import COLOR_SUFFIXES

    path = Path(source.name.partition("://")[2].strip("/*@") or source.name)  # of a URL, only the host is shown
    if source.image_count is not None and not path.is_file():  # a folder or a pattern
        return re.sub(r"[^\w -]", "_", path.name or path.resolve().name) or "images", ""
    name = path.name if path.is_file() else re.sub(r"[^\w .-]", "_", path.name)
    suffixes, added = ({".mp4"}, ".mp4") if source.image_count is None else (COLOR_SUFFIXES, ".png")
    suffix = Path(name).suffix
    return (name.removesuffix(suffix), suffix) if suffix.lower() in suffixes else (name, added)


def files_of(options: OutputOptions) -> list[Path]:
    """The paths of all outputs; none for stdout."""
    named = (
        options.json, options.csv, options.aggregate_out, options.output, options.report, options.analyze,
    )  # fmt: skip
    return [Path(path) for path in named if path is not None and path != "-"]


def check_not_source(source: Source, options: OutputOptions) -> None:
    """Raise OutputError if an output is a file of the source, under its own name or another one (a hard link)."""
    existing = {identity: path for path in files_of(options) if (identity := _identity(path)) is not None}
    if not existing:
        return
    for file in source.files or [Path(source.name)]:
        path = existing.get(_identity(file) or (-1, -1))
        if path is not None:
            raise OutputError(f"{path} is the source's file {file}: name another file, or it would be lost")


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if it is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def check_outputs(options: OutputOptions) -> None:
    """Raise OutputError for an output that can't be written or already exists.

    Called before anything is opened: a camera takes seconds to open, and opening an output truncates it.
    """
    may_exist = options.overwrite or options.rotate_output is not None  # rotation moves existing files aside
    for path in (options.json, options.csv, options.aggregate_out):
        if path is not None and path != "-":
            check_writable(Path(path), may_exist)
    for page in (options.report, options.analyze):
        if page is not None:
            check_writable(page, options.overwrite)
    if options.output is not None:
        from fer_edge.sinks.images import check_image_output
        from fer_edge.sinks.video import FOURCC

        if options.rotate_output is not None and options.output.suffix.lower() not in FOURCC:
            raise OutputError(f"{options.output}: --rotate-output applies to --json, --csv and video, not to images")
        check_image_output(options.output, may_exist)
    if options.rotate_output is not None:
        for file in files_of(options):
            if len(os.fsencode(file.name)) > MAX_NAME_BYTES - LONGER_BY:
                raise OutputError(f"{file}: its name is too long for --rotate-output, which adds numbers: shorten it")


def rotation_of(options: OutputOptions) -> "Rotation | None":
    """How outputs are rotated, or None."""
    if options.rotate_output is None:
        return None
    from fer_edge.sinks.rotation import Rotation

    return Rotation(*options.rotate_output, options.keep_output)
