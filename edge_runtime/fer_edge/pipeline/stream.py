"""The results of a running pipeline as an iterator, for Python code."""

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from fer_edge.channel import Channel, Closed
from fer_edge.detectors.base import FramedDetector
from fer_edge.framing import Image
from fer_edge.guards.exit_guard import close_at_exit, native_calls, seconds_left
from fer_edge.network import timed
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.sources.base import Source

POLL_S = 0.1


def _whole(frame: Frame) -> Image:
    """The frame's image in the picture's own pixels, to which the boxes refer: enlarged if it was reduced."""
    if frame.size is None:
        return frame.image
    image = np.asarray(cv2.resize(frame.image, frame.size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    image.flags.writeable = False
    return image


class ResultStream(Iterator[FrameResult]):
    """The result of every frame, in order: made by `EmotionRecognizer.stream`.

    The threads start at the first `next` and end with the stream: at the end of the source, at an error, at `close`,
    when the `with` block ends, or when nothing refers to the stream any more. One still open when Python exits is
    closed then.

    name: of the source, without credentials. live: True for cameras and network streams. fps: the source's nominal
    frames per second, or None.

    A frame that can't be read has no result: `errors` counts such frames, and `problem` says what is missing.
    """

    def __init__(
        self, source: Source, detector: FramedDetector, classifier: Classifier, options: StreamOptions, images: bool
    ) -> None:
        self.name, self.live, self.fps = source.name, source.live, source.fps
        results: Channel[FrameResult] = Channel(1, drop_oldest=False)

        def publish(frame: Frame, result: FrameResult) -> None:
            results.put(replace(result, image=_whole(frame)) if images else result)

        # `publish` and the threads must not refer to this object, so that it is closed when its last user drops it.
        self._results = results
        self._pipeline = Pipeline(source, detector, classifier, publish, options)
        self._started = self._closed = False
        close_at_exit(self)

    def __next__(self) -> FrameResult:
        try:
            return self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> FrameResult:
        if not self._started and not self._closed:
            self._started = True
            with native_calls():
                self._pipeline.start()
        while not self._closed:
            try:
                return self._results.get(timeout_s=POLL_S)
            except TimeoutError:
                if (stuck := timed.stuck_network()) is not None:
                    raise stuck from None
                if self._pipeline.wait(0) and not len(self._results):
                    break
            except Closed:
                break
        error, self._pipeline.error = self._pipeline.error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration

    @property
    def errors(self) -> int:
        """Frames that could not be read so far; at the end, those that a file owed and did not give, too."""
        return self._pipeline.stats.errors

    @property
    def problem(self) -> str | None:
        """What could not be read of a file or folder so far, in one line; None if everything could, or if it is live.

        After the last result it also says that a video is cut short: "clip.mp4: 32 of 60 frames: the file is cut ...".
        """
        return self._pipeline.unreadable or None

    def close(self) -> None:
        """Stop the threads and free the source; frames that were not yet returned are lost. May be called again."""
        self._closed = True
        self._pipeline.stop("closed")
        self._results.abort()
        self._pipeline.release(gives_up=lambda: timed.stuck_network() is not None, limit_s=seconds_left())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):  # the constructor was done
            self.close()
