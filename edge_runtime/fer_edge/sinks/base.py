"""The interface of a sink, and the thread that feeds it so that it neither slows nor stops the pipeline."""

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from fer_edge.channel import Channel, Closed
from fer_edge.pipeline.frame import Frame
from fer_edge.results import FrameResult

log = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 30.0  # for a pipe whose reader has stopped reading, or a disk that hangs


class Published(NamedTuple):
    """A result and its frame; `frame` is None for sinks that need no image."""

    result: FrameResult
    frame: Frame | None


class Sink:
    """Takes results one by one. Its methods are called in one thread and may be slow or fail.

    name: as in the report. option: as in messages. target: the file or folder.
    needs_image: True if it needs the frames.
    never_waits: True if `write` returns within microseconds, whatever happens.
    written: number of results that are certainly in the output.
    lost_records: what is lost, where the output has other records, which `written` counts, instead of results.
    frames_in_file: frames of the output; None if there is one per result, which `written` counts.
    extra_call_s: seconds that a call may take beyond CLOSE_TIMEOUT_S, such as to complete a long video.
    """

    name: str
    option: str = ""  # by default --name
    target: str = ""
    needs_image: bool
    never_waits: bool = False
    written: int = 0
    lost_records: int | None = None
    frames_in_file: int | None = None

    @property
    def extra_call_s(self) -> float:
        return 0.0

    def write(self, item: Published) -> None:
        """Take one result."""
        raise NotImplementedError

    def flush(self) -> None:
        """Make all results taken so far visible to other programs."""

    def close(self) -> None:
        """Complete the output."""

    def discard(self) -> None:
        """After `close`: remove an output that holds no result and did not exist before."""


class SinkRunner:
    """Feeds a sink from a bounded queue in a thread.

    If the queue is full, the oldest result of a live source is dropped; for a file `offer` waits, so that every frame
    gets its line. A sink that fails is logged once and loses all later results. One that never waits needs no queue:
    waking a thread for each result would cost more than its work.
    """

    def __init__(self, sink: Sink, live: bool) -> None:
        self.name, self.option = sink.name, sink.option or f"--{sink.name}"
        self.failure: BaseException | None = None
        self._sink = sink
        self._busy_since: float | None = None
        self._offered = self._done = 0
        # Lines are small, images are not.
        self._queue: Channel[Published] = Channel(4 if sink.needs_image else 256, drop_oldest=live)
        self._thread = threading.Thread(target=self._run, name=f"fer-{sink.name}", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # no more threads
            sink.close()
            with contextlib.suppress(OSError):
                sink.discard()
            raise

    @property
    def written(self) -> int:
        """Results that are in the output."""
        return self._sink.written

    @property
    def frames_in_file(self) -> int | None:
        """Frames of the completed output; None if there is one per result."""
        return self._sink.frames_in_file

    @property
    def lost(self) -> int:
        """Results that were offered and not written, those in the queue too; or the sink's own lost records."""
        if self._sink.lost_records is not None:
            return self._sink.lost_records
        return self._offered - self._sink.written

    @property
    def pending_images(self) -> int:
        """Frames that it holds: those in its queue, and the one that is being written."""
        if not self._sink.needs_image or isinstance(self.failure, TimeoutError):
            return 0
        return self._offered - self._queue.dropped - self._done

    def offer(self, frame: Frame, result: FrameResult) -> None:
        """Queue a result, or write it at once."""
        self._offered += 1
        item = Published(result, frame if self._sink.needs_image else None)
        if self._sink.never_waits:
            self._guard(functools.partial(self._sink.write, item))
            return
        with contextlib.suppress(Closed):  # abandoned
            self._queue.put(item)

    def abandon_if_hanging(self, since: float) -> None:
        """Abandon the sink if one call has blocked for too long.

        Time before `since` (monotonic seconds) does not count: a pipe's reader may pause while the run goes on.
        """
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - max(busy_since, since) >= self._timeout_s:
            self._abandon()

    def take_no_more(self) -> None:
        """Write what is queued and complete the output, without waiting for that; later results are lost."""
        self._queue.close()

    def close(self, timeout_s: float | None = None) -> None:
        """Write what is queued and complete the output; abandon a sink that hangs.

        timeout_s: how long to wait; None for as long as the output may take.
        """
        if isinstance(self.failure, TimeoutError):
            return
        self.take_no_more()
        self._thread.join(self._timeout_s if timeout_s is None else timeout_s)
        if self._thread.is_alive():
            self._abandon()

    def discard(self) -> None:
        """After `close`: remove an output that holds no result and did not exist before."""
        if not self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._sink.discard()

    @property
    def _timeout_s(self) -> float:
        return CLOSE_TIMEOUT_S + self._sink.extra_call_s

    def _abandon(self) -> None:
        if self.failure is None:
            log.warning("%s hangs and is abandoned: its last results are lost", self._option_and_target())
            self.failure = TimeoutError("it took no more results")
        self._queue.abort()

    def _option_and_target(self) -> str:
        return f"{self.option} {self._sink.target}".rstrip()

    def _run(self) -> None:
        flushed = time.monotonic()
        while True:
            try:
                item = self._queue.get(FLUSH_INTERVAL_S)
            except TimeoutError:
                pass
            except Closed:
                break
            else:
                self._guard(functools.partial(self._sink.write, item))
                del item  # an image is not kept until the next one comes
                self._done += 1
            if time.monotonic() - flushed >= FLUSH_INTERVAL_S:
                flushed = time.monotonic()
                self._guard(self._sink.flush)
        self._guard(self._sink.close, even_if_failed=True)

    def _guard(self, action: Callable[[], None], even_if_failed: bool = False) -> None:
        if self.failure is not None and not even_if_failed:
            return
        self._busy_since = time.monotonic()
        try:
            action()
        except Exception as error:  # noqa: BLE001 - no error of a sink may reach the pipeline
            if self.failure is None and not isinstance(error, BrokenPipeError):
                reason = " ".join(str(getattr(error, "strerror", None) or error).split())
                option = self.option if self._sink.target in reason else self._option_and_target()
                log.warning("%s failed and is abandoned: %s", option, reason)
            self.failure = self.failure or error
        finally:
            self._busy_since = None
