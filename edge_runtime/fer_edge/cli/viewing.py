"""How a source is shown in the window: at which speed it runs, and what the keys do."""

import re
from pathlib import Path
from typing import NamedTuple

from fer_edge.framing import Image
from fer_edge.pipeline.pipeline import END_OF_SOURCE, Pipeline
from fer_edge.pipeline.playback import Playback
from fer_edge.privacy.blur import Blur
from fer_edge.results import FrameResult
from fer_edge.sinks.views import ImagesView, StreamView, View
from fer_edge.sinks.window import Window
from fer_edge.sources import Source
from fer_edge.sources.images import read_image

DEFAULT_FPS = 30.0


class Viewing(NamedTuple):
    """What the window may do with one source of a run.

    data: the options that write results; while there are any, no part of a source is processed twice or left out.
    number: of the source, from 1, of `sources`.
    """

    window: Window
    data: tuple[str, ...]
    number: int
    sources: int

    @property
    def is_last(self) -> bool:
        """True if no other source follows."""
        return self.number == self.sources

    def playback(self, source: Source, lossless: bool) -> Playback | None:
        """What paces `source`: a video plays at its own speed. None for live sources and images."""
        if source.live or source.is_cropped or source.image_count is not None:
            return None
        return Playback(catch_up=not lossless, holds_at_end=self.is_last and self._fixed(source) is None)

    def _fixed(self, source: Source) -> str | None:
        """Why the position in `source` can't be changed; None if it can."""
        if source.live:
            return "a live source has no other position"
        if self.data:
            return f"no seeking: results go to {', '.join(self.data)}"
        return None if source.seekable else "no seeking: this video has no index"

    def begin(self, pipeline: Pipeline) -> View:
        """Show the source of `pipeline` from now on."""
        source, window = pipeline.source, self.window
        has_next, has_previous = not self.is_last, self.number > 1 and not self.data
        view: View
        if source.image_count is not None:
            view = ImagesView(
                window.notify, lambda file, result: _read(pipeline, file, result), source.image_count, bool(self.data),
                has_next, has_previous,
            )  # fmt: skip
        else:
            frame_s = 1 / (source.fps or DEFAULT_FPS)
            view = StreamView(
                window.notify, _file_name(source), pipeline.playback, self._fixed(source),
                bool(pipeline.options.lossless) and not source.live, frame_s,
                None if source.frame_count is None else (source.frame_count - 1) * frame_s, has_next, has_previous,
            )  # fmt: skip
        window.begin(view)
        return view

    def stays(self, pipeline: Pipeline) -> bool:
        """True if the last image of a source that has ended stays until a key is pressed."""
        source = pipeline.source
        if source.live or pipeline.error is not None or pipeline.exit_reason != END_OF_SOURCE:
            return False  # a run with a limit ends when it is reached
        if self.window.gone or not self.window.has_image:
            return False
        return self.is_last or (source.image_count is not None and not self.data)


def _read(pipeline: Pipeline, file: str, result: FrameResult) -> Image | None:
    image = read_image(Path(file))
    if image is None:
        return None
    image, mode = pipeline.oriented(image), pipeline.options.blur
    return (
        image
        if mode is None
        else Blur(mode, hold=False)(image, result.faces, others=dict(enumerate(result.left_out.boxes)))
    )


def _file_name(source: Source) -> str:
    """A name for files that are made from `source`."""
    name = "stream" if "://" in source.name else Path(source.name).stem
    return re.sub(r"[^\w.-]+", "_", name).strip("_.") or "frame"
