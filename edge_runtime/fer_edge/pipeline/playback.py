"""Playback of a file: at its own speed, paused, step by step, or from another position."""

import threading
import time

LATE_S = 0.05  # a frame later than this restarts the clock, instead of playing faster to catch up


class Playback:
    """Decides when the frames of a file are read.

    The pipeline's capture thread calls `take_target`, `wait_until_due` and `wait_at_end`; the other methods may be
    called from any thread. Times are the stream's, in seconds since its first frame.

    catch_up: late frames follow each other at once, as for a file that is played in real time; otherwise a file is
        never played faster than its own speed.
    holds_at_end: the file's end ends the run only after `finish`, so that `seek` may go back from there.
    """

    def __init__(self, catch_up: bool = False, holds_at_end: bool = False) -> None:
        self.paused = False
        self.at_end = False  # True while the end of the file is held
        self.seeks = 0  # how many times the position was changed
        self._catch_up, self._holds_at_end = catch_up, holds_at_end
        self._target: float | None = None
        self._steps = 0
        self._stopped = False  # neither paced nor held any more
        self._zero: float | None = None  # monotonic time of the stream's time 0; None: set by the next frame
        self._changed = threading.Condition()

    def pause(self) -> None:
        """Read no more frames until `resume`, `step` or `seek`."""
        with self._changed:
            self.paused = True
            self._changed.notify_all()

    def resume(self) -> None:
        """Continue at the file's own speed."""
        with self._changed:
            self.paused, self._zero = False, None
            self._changed.notify_all()

    def step(self) -> None:
        """Read one frame at once; for a paused file."""
        with self._changed:
            self._steps += 1
            self._changed.notify_all()

    def seek(self, t: float) -> None:
        """Continue with the frame at `t`; it is read at once, even if the file is paused."""
        with self._changed:
            self._target, self._steps, self._zero = max(0.0, t), 1, None
            self.seeks += 1
            self._changed.notify_all()

    def finish(self) -> None:
        """End the hold at the file's end."""
        with self._changed:
            self._holds_at_end = False
            self._changed.notify_all()

    def release(self) -> None:
        """Stop pacing, pausing and holding: read the remaining frames as fast as possible."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take_target(self) -> tuple[float, int] | None:
        """The position to continue at, if `seek` was called since the last call, and the number of seeks so far."""
        with self._changed:
            target, self._target = self._target, None
            return None if target is None else (target, self.seeks)

    def wait_until_due(self, t: float) -> bool:
        """Wait until the frame at `t` is due; False if it is not wanted any more, because of a seek."""
        with self._changed:
            while not self._stopped:
                if self._target is not None:
                    return False
                if self._steps:
                    self._steps, self._zero = self._steps - 1, None
                    return True
                wait_s = None if self.paused else self._seconds_until(t)
                if wait_s is not None and wait_s <= 0:
                    return True
                self._changed.wait(wait_s)
            return True

    def _seconds_until(self, t: float) -> float:
        now = time.monotonic()
        if self._zero is None or (not self._catch_up and now - self._zero - t > LATE_S):
            self._zero = now - t
        return self._zero + t - now

    def wait_at_end(self) -> bool:
        """Hold the file's end; True if reading goes on elsewhere, False if the run ends."""
        with self._changed:
            while self._target is None and self._holds_at_end and not self._stopped:
                self.at_end = True
                self._changed.wait()
            self.at_end = False
            return self._target is not None and not self._stopped
