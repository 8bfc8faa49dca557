"""How often clients get something new: ten times a second, less often where that would cost the run too much."""

import time

TICK_S = 0.1  # between two ticks
SLOWEST_S = 1.0
MAX_SHARE = 0.08  # of the process's other work: serving must not cost more, however many watch
MEASURE_S = 1.0  # between two looks at the processor time


class Pace:
    """Decides when the next tick is due, from the processor time that the event loop takes, which makes and sends it.

    `is_due` is asked in the thread of the pipeline, `look` in the event loop's.
    """

    def __init__(self) -> None:
        self.interval_s = TICK_S
        self._due = 0.0
        self._looked: tuple[float, float, float] | None = None  # monotonic time, seconds of serving, of the process

    def is_due(self, now: float) -> bool:
        """True if a tick should be made now, monotonic seconds; the next one is due later."""
        if now < self._due:
            return False
        late_s = now - self._due  # made up for if small: keeps the average rate, whatever the frames' rate
        self._due = now + self.interval_s - (late_s if late_s < self.interval_s else 0.0)
        return True

    def look(self, now: float) -> None:
        """Adapt the interval once a second."""
        if self._looked is not None and now - self._looked[0] < MEASURE_S:
            return
        serving, process = time.thread_time(), time.process_time()
        if self._looked is not None:
            _, serving_before, process_before = self._looked
            self.adapt(serving - serving_before, process - process_before)
        self._looked = now, serving, process

    def adapt(self, serving_s: float, process_s: float) -> None:
        """Choose the interval that would have kept serving's part of the processor time within MAX_SHARE.

        >>> pace = Pace()
        >>> pace.adapt(serving_s=0.20, process_s=1.20)
        >>> pace.interval_s
        0.25
        >>> pace.adapt(serving_s=0.01, process_s=1.01)
        >>> pace.interval_s
        0.125
        """
        share = serving_s / max(process_s - serving_s, 1e-6)
        wanted_s = self.interval_s * min(max(share / MAX_SHARE, 0.5), 4.0)
        self.interval_s = round(min(max(wanted_s, TICK_S), SLOWEST_S), 4)
