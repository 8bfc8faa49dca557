"""The outputs of a run: check them first, open the sinks and the window, complete them at the end."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.cli.options import OutputOptions
from fer_edge.errors import OutputError
from fer_edge.files import check_writable
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Sink, SinkRunner
from fer_edge.sources import Source

if TYPE_CHECKING:
    from fer_edge.sinks.rotation import Rotation
    from fer_edge.sinks.window import Window


class Outputs:
    """The sinks and the window of one run. `publish` sends them every result."""

    def __init__(self, sinks: list[SinkRunner], window: "Window | None") -> None:
        self.sinks, self.window = sinks, window

    def publish(self, frame: Frame, result: FrameResult) -> None:
        """Send a result to every output."""
        for sink in self.sinks:
            sink.offer(frame, result)
        if self.window is not None:
            self.window.offer(frame, result)

    @property
    def stdout_closed(self) -> bool:
        """True once the reader of our stdout has closed it."""
        return any(isinstance(sink.failure, BrokenPipeError) for sink in self.sinks)

    def counts(self) -> dict[str, tuple[int, int]]:
        """(written, lost) results by output, for the report."""
        counts = {sink.name: (sink.written, sink.lost) for sink in self.sinks}
        return counts if self.window is None else counts | {"window": (self.window.shown, self.window.lost)}

    def abandon_hanging(self, since: float) -> None:
        """Abandon sinks that have been busy with one call since monotonic time `since`, if that is too long ago."""
        for sink in self.sinks:
            sink.abandon_if_hanging(since)

    def close(self, discard: bool) -> None:
        """Complete every output; with `discard`, remove new outputs without any result."""
        for sink in self.sinks:
            sink.close()
            if discard:
                sink.discard()
        if self.window is not None:
            self.window.close()

    def raise_failures(self) -> None:
        """Raise OutputError if an output failed. A closed stdout is no failure."""
        failed = [
            f"--{sink.name}" for sink in self.sinks if sink.failure and not isinstance(sink.failure, BrokenPipeError)
        ]
        if failed:
            raise OutputError(
                f"{' and '.join(failed)} failed, see above: the report counts the missing results as lost"
            )


def check_outputs(options: OutputOptions) -> None:
    """Raise OutputError for an output that can't be written or already exists.

    Called before anything is opened: a camera takes seconds to open, and opening an output truncates it.
    """
    may_exist = options.overwrite or options.rotate_output is not None  # rotation moves existing files aside
    for path in (options.json, options.csv):
        if path is not None and path != "-":
            check_writable(Path(path), may_exist)
    if options.report is not None:
        check_writable(options.report, options.overwrite)
    if options.output is not None:
        from fer_edge.sinks.images import FOURCC, check_image_output

        if options.rotate_output is not None and options.output.suffix.lower() not in FOURCC:
            raise OutputError(f"{options.output}: --rotate-output applies to --json, --csv and video, not to images")
        check_image_output(options.output, may_exist)


def open_window() -> "Window | None":
    """The live window, or None without a screen."""
    from fer_edge.sinks.window import Window, screen_available

    return Window() if screen_available() else None


def open_sinks(
    options: OutputOptions, source: Source, labels: tuple[str, ...], lossless: bool, max_frames: int | None
) -> list[SinkRunner]:
    """Open every requested sink. `lossless` sinks make the pipeline wait; others lose their oldest results."""
    rotation = rotation_of(options)
    sinks: list[Sink] = []
    # The sinks import what they need only when they are used: a start without them is faster.
    if options.output is not None:
        from fer_edge.sinks.images import open_image_sink

        single = 1 in (source.image_count, max_frames)
        gaps = not lossless and source.image_count is None
        sinks.append(open_image_sink(options.output, source, single, gaps, rotation))
    if options.json is not None or options.csv is not None:
        from fer_edge.sinks.text import CsvSink, JsonSink, PredictionSink

        if options.json is not None:
            sinks.append(JsonSink(options.json, rotation))
        if options.csv is not None:
            csv_sink = PredictionSink if source.is_cropped else CsvSink
            sinks.append(csv_sink(options.csv, labels, rotation))
    return [SinkRunner(sink, not lossless) for sink in sinks]


def rotation_of(options: OutputOptions) -> "Rotation | None":
    """How outputs are rotated, or None."""
    if options.rotate_output is None:
        return None
    from fer_edge.sinks.rotation import Rotation

    return Rotation(*options.rotate_output, options.keep_output)
