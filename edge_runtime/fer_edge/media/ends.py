"""How many frames of a video file are missing: its index, its end, and the gaps between its frames tell."""

from collections import Counter
from pathlib import Path

GAP = 1.5  # times the usual distance of two frames
STEADY_SHARE = 0.8  # of the distances of a file of constant rate that are the usual one
COPY_AGAIN = "copy or download it again"


class FrameTimes:
    """The distances between a file's frames, to tell how many frames fit into its gaps.

    A gap alone means nothing: films pause, and screens are recorded at a variable rate.

    >>> times = FrameTimes()
    >>> for number in (0, 1, 2, 3, 4, 5, 9, 10, 11, 12):
    ...     times.add(number / 25)
    >>> times.has_gap, times.lost
    (True, 3)
    """

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._distances_ms: Counter[int] = Counter()

    def add(self, time_s: float) -> None:
        """The next frame's time."""
        if self._last_s is not None:
            self._distances_ms[round(1000 * (time_s - self._last_s))] += 1
        self._last_s = time_s

    @property
    def has_gap(self) -> bool:
        """True if some frame comes late."""
        return bool(self._distances_ms) and max(self._distances_ms) > GAP * self._usual_ms()

    @property
    def lost(self) -> int:
        """How many frames fit into the gaps, if the others come at a constant rate; else 0."""
        if not self._distances_ms:
            return 0
        usual, distances = self._usual_ms(), self._distances_ms
        near = {ms: count for ms, count in distances.items() if abs(ms - usual) <= 1 + usual / 10}
        if usual <= 0 or sum(near.values()) < STEADY_SHARE * distances.total():
            return 0
        mean = sum(ms * count for ms, count in near.items()) / sum(near.values())
        return sum(count * (round(ms / mean) - 1) for ms, count in distances.items() if ms > GAP * mean)

    def _usual_ms(self) -> int:
        """The median distance."""
        half = self._distances_ms.total() / 2
        for ms in sorted(self._distances_ms):
            half -= self._distances_ms[ms]
            if half <= 0:
                break
        return ms


def missing_frames(path: Path, decoded: int, announced: int | None, times: FrameTimes, breaks: int) -> tuple[int, str]:
    """How many frames of the file `path` are missing after the last one was read, and why; (0, "") if none is.

    decoded: frames that were read. announced: what OpenCV said, which over-counts (edit lists, variable rates), so that
    it only counts in a file that is cut short. breaks: how often frames followed on a failure to read. OSError if the
    file is gone.
    """
    from fer_edge.media.containers import announces_length, is_cut_short, owed_frames  # not needed before the end
    from fer_edge.media.structure import is_damaged

    is_cut, owed = is_cut_short(path), owed_frames(path)
    if owed is not None:
        missing = owed - decoded
    elif is_cut and announces_length(path):
        missing = (announced or decoded + 1) - decoded
    elif is_cut:
        return 1, f"{decoded:,} frames, then the file is cut short: {COPY_AGAIN}"
    elif breaks or (times.has_gap and is_damaged(path)):
        if not times.lost:
            return max(breaks, 1), f"{decoded:,} frames, others are damaged: {COPY_AGAIN}"
        missing = times.lost
    else:
        return 0, ""
    if missing <= 0:
        return 0, ""
    why = f"the file is cut short: {COPY_AGAIN}" if is_cut else "the others are damaged"
    return missing, f"{decoded:,} of {decoded + missing:,} frames: {why}"
