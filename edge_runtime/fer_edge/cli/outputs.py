"""The outputs of a run: open the sinks and the window, publish results to them, complete them at the end."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.options import RunOptions
from fer_edge.cli.output_paths import OutputFolder, check_not_source, check_outputs, files_of, rotation_of
from fer_edge.errors import OutputError
from fer_edge.files import temporary_file
from fer_edge.guards.locks import OutputLock
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Sink, SinkRunner
from fer_edge.sources import Source

if TYPE_CHECKING:
    from fer_edge.serve.connections import Connections
    from fer_edge.sinks.aggregate import AggregateSink
    from fer_edge.sinks.window import Window

STDOUT = "stdout"


class Outputs:
    """The sinks and the window of one run; `publish` sends them every result.

    --json, --csv and the window are shared by all sources; each source has its own --output. Nothing is opened, and so
    no existing output is changed, before `begin` is called for the first source that could be opened.

    labels: of the classifier, for the columns of --csv. output_path: the current source's --output. results: a private
    file of JSON lines for --analyze, until `unlock`. connections: what else follows the run, if anything.
    """

    def __init__(
        self, options: RunOptions, labels: tuple[str, ...], window: "Window | None", connections: "Connections | None"
    ) -> None:
        self.window, self.connections = window, connections
        self._options, self._labels = options, labels
        self._several = len(options.sources) > 1
        self._text: list[SinkRunner] | None = None  # None: not open yet
        self._connected: list[SinkRunner] = []
        self._lines: SinkRunner | None = None  # a sentence per image
        self._image: SinkRunner | None = None  # of the current source
        self.output_path: Path | None = None
        self.results: Path | None = None  # JSON lines for --analyze, until `unlock`
        self._aggregate: AggregateSink | None = None
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
        check_not_source(source, options)
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
            self._text = []
            for text_sink in self._open_text(source):  # one after the other, so that `close` knows those that are open
                self._text.append(SinkRunner(text_sink, not lossless))
            others = [] if self.connections is None else self.connections.sinks
            self._connected = [SinkRunner(sink, live=True) for sink in others]  # they never make a file wait
        self._prints_lines = source.image_count is not None and any((sys.stdout, sys.stderr))
        if self._prints_lines and self._lines is None:
            from fer_edge.sinks.text import ImageLineSink

            stdout_taken = options.use_stdout or sys.stdout is None
            self._lines = SinkRunner(ImageLineSink(stdout_taken), live=False)
        self._file = source.name if self._several else None

    def _lock(self) -> None:
        """Keep other processes from every output until `unlock`."""
        assert self._locks is not None
        output = self._options.outputs.output
        if output is not None and not output.suffix:  # a folder that may not exist yet
            with contextlib.suppress(OSError):  # the sink says what is wrong
                output.parent.mkdir(parents=True, exist_ok=True)
        for path in files_of(self._options.outputs):
            self._locks.append(OutputLock(path))
        check_outputs(self._options.outputs)  # again: another process may have written one before it gave it free

    def unlock(self) -> None:
        """Give all outputs free: everything is written."""
        self._temporary.close()
        for lock in self._locks or []:
            lock.release()

    def _open_text(self, source: Source) -> Iterator[Sink]:
        options, rotation = self._options.outputs, rotation_of(self._options.outputs)
        if self._options.aggregate is not None and options.aggregate_out is not None:
            from fer_edge.sinks.aggregate import AggregateSink

            self._aggregate = AggregateSink(options.aggregate_out, self._options.aggregate, self._labels, rotation)
            yield self._aggregate
        if any((options.json, options.csv, options.analyze)):  # a start without them is faster
            from fer_edge.sinks.text import CsvSink, JsonSink, PredictionSink

            if options.json is not None:
                yield JsonSink(options.json, rotation)
            if options.analyze is not None:  # its own file: --json may be stdout, or lose old pieces to rotation
                self.results = self._temporary.enter_context(temporary_file(options.analyze, private=True))
                results = JsonSink(str(self.results))
                results.name = "analyze"
                yield results
            if options.csv is not None and source.is_cropped:
                yield PredictionSink(options.csv, self._labels, rotation)
            elif options.csv is not None:
                timed = source.live or self._options.stream.start_time is not None
                named = self._several or source.image_count is not None
                yield CsvSink(options.csv, self._labels, rotation, with_time=timed, with_file=named)

    @property
    def serves_images(self) -> bool:
        """True if a connection shows the frames, so that they should be in color."""
        return self.connections is not None and any(sink.needs_image for sink in self.connections.sinks)

    @property
    def sinks(self) -> list[SinkRunner]:
        """The sinks that are open."""
        return [sink for sink in (self._image, *(self._text or []), self._lines, *self._connected) if sink is not None]

    def publish(self, frame: Frame, result: FrameResult) -> None:
        """Send a result to every output."""
        if self._image is not None:
            self._image.offer(frame, result)
        shown = result
        if self._file is not None and result.file is None:
            result = replace(result, file=self._file)
        for sink in (*(self._text or []), *self._connected):
            sink.offer(frame, result)
        if self._lines is not None and self._prints_lines:
            self._lines.offer(frame, result)
        if self.window is not None:  # may wait
            self.window.offer(frame, frame.in_image(shown))

    def pending_images(self) -> int:
        """How many frames the outputs still hold."""
        return sum(sink.pending_images for sink in self.sinks)

    def paths(self) -> dict[str, str]:
        """Where the outputs go, by the name of their option."""
        options = self._options.outputs
        named = {
            "output": options.output,
            "json": options.json,
            "csv": options.csv,
            "report": options.report,
            "analyze": options.analyze,
            "aggregate": options.aggregate_out,
        }
        return {name: STDOUT if path == "-" else str(path) for name, path in named.items() if path is not None}

    @property
    def interval_counts(self) -> dict[str, int]:
        """How many intervals --aggregate-out has, and how many of them are withheld; {} without it."""
        sink = self._aggregate
        return {} if sink is None else {"intervals": sink.intervals, "withheld": sink.withheld}

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
        for sink in self.sinks:  # they all end at the same time
            sink.take_no_more()
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

    def close_until(self, until: float) -> None:
        """Complete the outputs that are done by the monotonic time `until`, and leave the others as they are."""
        sinks = self.sinks
        for sink in sinks:
            sink.take_no_more()
        for sink in sinks:
            sink.close(max(0.0, until - time.monotonic()))

    def _note_failure(self, sink: SinkRunner) -> None:
        if sink.failure and not isinstance(sink.failure, BrokenPipeError) and sink.option not in self._failed:
            self._failed.append(sink.option)

    def raise_failures(self) -> None:
        """Raise OutputError if an output failed. A closed stdout is no failure."""
        if self._failed:
            raise OutputError(
                f"{' and '.join(self._failed)} failed, see above: the report counts the missing results as lost"
            )


def start_window() -> "Window | None":
    """The live window, whose `open` returns whether there is a screen; None if there is certainly none."""
    from fer_edge.sinks.display import has_display

    if not has_display():
        return None
    from fer_edge.sinks.window import Window

    return Window()
