"""The outputs of a run: check them first, open the sinks and the window, complete them at the end."""

import contextlib
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.options import OutputOptions, RunOptions
from fer_edge.errors import OutputError
from fer_edge.files import check_writable, temporary_file
from fer_edge.guards.locks import OutputLock
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Sink, SinkRunner
from fer_edge.sources import Source

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation
    from fer_edge.sinks.window import Window

STDOUT = "stdout"


class Outputs:
    """The sinks and the window of one run; `publish` sends them every result.

    --json, --csv and the window are shared by all sources; each source has its own --output. Nothing is opened, and so
    no existing output is changed, before `begin` is called for the first source that could be opened.

    labels: of the classifier, for the columns of --csv. output_path: the current source's --output. results: a private
    file of JSON lines for --analyze, until `unlock`.
    """

    def __init__(self, options: RunOptions, labels: tuple[str, ...], window: "Window | None") -> None:
        self.window = window
        self._options, self._labels = options, labels
        self._several = len(options.sources) > 1
        self._text: list[SinkRunner] | None = None  # None: not open yet
        self._lines: SinkRunner | None = None  # a sentence per image
        self._image: SinkRunner | None = None  # of the current source
        self.output_path: Path | None = None
        self.results: Path | None = None  # JSON lines for --analyze, until `unlock`
        self._temporary = contextlib.ExitStack()
        self.frames_in_file: int | None = None  # of --output, once complete; None if there is one per result
        self._locks: list[OutputLock] | None = None  # None: not locked yet
        self._earlier = Counter[str]()  # results in the outputs of earlier sources: written and lost
        self._failed: list[str] = []
        self._file: str | None = None
        self._prints_lines = False
        output = options.outputs.output
        self._folder = OutputFolder(output, options.sources) if self._several and output is not None else None

    def begin(self, source: Source, lossless: bool) -> None:
        """Open the outputs for `source`. `lossless` sinks make the pipeline wait; others lose their oldest results."""
        options = self._options.outputs
        _check_not_source(source, options)
        if self._locks is None:
            self._locks = []
            self._lock()
        if options.output is not None:
            from fer_edge.sinks.images import open_image_sink

            path = options.output if self._folder is None else self._folder.path_for(source)
            self.output_path = path
            single = 1 in (source.image_count, self._options.stream.max_frames)
            gaps = not lossless and source.image_count is None
            sink = open_image_sink(path, source, single, gaps, rotation_of(options))
            self._image = SinkRunner(sink, not lossless)
        if self._text is None:
            self._text = [SinkRunner(sink, not lossless) for sink in self._open_text(source)]
        self._prints_lines = source.image_count is not None and any((sys.stdout, sys.stderr))
        if self._prints_lines and self._lines is None:
            from fer_edge.sinks.text import ImageLineSink

            stdout_taken = "-" in (options.json, options.csv) or sys.stdout is None
            self._lines = SinkRunner(ImageLineSink(stdout_taken), live=False)
        self._file = source.name if self._several else None

    def _lock(self) -> None:
        """Keep other processes from every output until `unlock`."""
        assert self._locks is not None
        output = self._options.outputs.output
        if output is not None and not output.suffix:  # a folder that may not exist yet
            with contextlib.suppress(OSError):  # the sink says what is wrong
                output.parent.mkdir(parents=True, exist_ok=True)
        for path in _files_of(self._options.outputs):
            self._locks.append(OutputLock(path))
        check_outputs(self._options.outputs)  # again: another process may have written one before it gave it free

    def unlock(self) -> None:
        """Give all outputs free: everything is written."""
        self._temporary.close()
        for lock in self._locks or []:
            lock.release()

    def _open_text(self, source: Source) -> list[Sink]:
        options, rotation = self._options.outputs, rotation_of(self._options.outputs)
        sinks: list[Sink] = []
        if any((options.json, options.csv, options.analyze)):  # a start without them is faster
            from fer_edge.sinks.text import CsvSink, JsonSink, PredictionSink

            if options.json is not None:
                sinks.append(JsonSink(options.json, rotation))
            if options.analyze is not None:  # its own file: --json may be stdout, or lose old pieces to rotation
                self.results = self._temporary.enter_context(temporary_file(options.analyze, private=True))
                results = JsonSink(str(self.results))
                results.name = "analyze"
                sinks.append(results)
            if options.csv is not None and source.is_cropped:
                sinks.append(PredictionSink(options.csv, self._labels, rotation))
            elif options.csv is not None:
                timed = source.live or self._options.stream.start_time is not None
                named = self._several or source.image_count is not None
                sinks.append(CsvSink(options.csv, self._labels, rotation, with_time=timed, with_file=named))
        return sinks

    @property
    def sinks(self) -> list[SinkRunner]:
        """The sinks that are open."""
        return [sink for sink in (self._image, *(self._text or []), self._lines) if sink is not None]

    def publish(self, frame: Frame, result: FrameResult) -> None:
        """Send a result to every output."""
        if self._image is not None:
            self._image.offer(frame, result)
        shown = result
        if self._file is not None and result.file is None:
            result = replace(result, file=self._file)
        for sink in self._text or []:
            sink.offer(frame, result)
        if self._lines is not None and self._prints_lines:
            self._lines.offer(frame, result)
        if self.window is not None:  # may wait
            self.window.offer(frame, shown)

    def paths(self) -> dict[str, str]:
        """Where the outputs go, by the name of their option."""
        options = self._options.outputs
        named = {
            "output": options.output,
            "json": options.json,
            "csv": options.csv,
            "report": options.report,
            "analyze": options.analyze,
        }
        return {name: STDOUT if path == "-" else str(path) for name, path in named.items() if path is not None}

    @property
    def data_options(self) -> tuple[str, ...]:
        """The options that write results; none if they are only shown."""
        return tuple(f"--{name}" for name in self.paths())

    @property
    def stdout_closed(self) -> bool:
        """True once the reader of our stdout has closed it."""
        return any(isinstance(sink.failure, BrokenPipeError) for sink in self.sinks)

    def counts(self) -> dict[str, tuple[int, int]]:
        """(written, lost) results by output, for the report."""
        counts = {sink.name: (sink.written, sink.lost) for sink in self.sinks}
        if self._earlier:
            written, lost = counts.get("output", (0, 0))
            counts["output"] = (written + self._earlier["written"], lost + self._earlier["lost"])
        return counts if self.window is None else counts | {"window": (self.window.shown, self.window.lost)}

    def abandon_hanging(self, since: float) -> None:
        """Abandon sinks that have been busy with one call since monotonic time `since`, if that is too long ago."""
        for sink in self.sinks:
            sink.abandon_if_hanging(since)

    def end(self, discard: bool) -> None:
        """Complete the current source's own output; with `discard`, remove it if it is new and without any result."""
        sink, self._image = self._image, None
        if sink is None:
            return
        sink.close()
        if discard:
            sink.discard()
        self.frames_in_file = sink.frames_in_file
        self._earlier.update(written=sink.written, lost=sink.lost)
        self._note_failure(sink)

    def close(self, discard: bool) -> None:
        """Complete every output; with `discard`, remove new outputs without any result."""
        self.end(discard)
        for sink in self.sinks:
            sink.close()
            if discard:
                sink.discard()
            self._note_failure(sink)
        if self._folder is not None:
            self._folder.discard()
        if self.window is not None:
            self.window.close()

    def _note_failure(self, sink: SinkRunner) -> None:
        if sink.failure and not isinstance(sink.failure, BrokenPipeError) and sink.option not in self._failed:
            self._failed.append(sink.option)

    def raise_failures(self) -> None:
        """Raise OutputError if an output failed. A closed stdout is no failure."""
        if self._failed:
            raise OutputError(
                f"{' and '.join(self._failed)} failed, see above: the report counts the missing results as lost"
            )


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
        name, number = stem + suffix, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}{suffix}"
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
    wrong = "[\ud800-\udfff]" if path.is_file() else r"[^\w .-]"  # OpenCV can't write a name that is not UTF-8
    name = re.sub(wrong, "_", path.name)
    suffixes, added = ({".mp4"}, ".mp4") if source.image_count is None else (COLOR_SUFFIXES, ".png")
    suffix = Path(name).suffix
    return (name.removesuffix(suffix), suffix) if suffix.lower() in suffixes else (name, added)


def _files_of(options: OutputOptions) -> list[Path]:
    """The paths of all outputs; none for stdout."""
    named = (options.json, options.csv, options.output, options.report, options.analyze)
    return [Path(path) for path in named if path is not None and path != "-"]


def _check_not_source(source: Source, options: OutputOptions) -> None:
    """Raise OutputError if an output is a file of the source, under its own name or another one (a hard link)."""
    existing = {identity: path for path in _files_of(options) if (identity := _identity(path)) is not None}
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
    for path in (options.json, options.csv):
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


def start_window() -> "Window | None":
    """The live window, whose `open` returns whether there is a screen; None if there is certainly none."""
    from fer_edge.sinks.display import has_display

    if not has_display():
        return None
    from fer_edge.sinks.window import Window

    return Window()


def rotation_of(options: OutputOptions) -> "Rotation | None":
    """How outputs are rotated, or None."""
    if options.rotate_output is None:
        return None
    from fer_edge.sinks.rotation import Rotation

    return Rotation(*options.rotate_output, options.keep_output)
