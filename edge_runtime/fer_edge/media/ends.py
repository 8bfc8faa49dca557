"""How many frames of a video file are missing: its index, its end, and the gaps between its frames tell."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_edge.media.ffmpeg_memory import allows_frames

if TYPE_CHECKING:
    from fer_edge.media.bitstream.parameters import Frames

GAP = 1.5  # times the usual distance of two frames
STEADY_SHARE = 0.8  # of the distances of a file of constant rate that are the usual one
ANNOUNCED_TOO_MANY = 2  # frames by which an announced length may exceed the true one, as sound lasts a little longer
BITS = 8  # of a sample
MAX_SQUEEZE = 1.05  # of a face: networks read it as well
ONE_SHAPE = "convert it to frames of one shape, as docs/watch.md says"
MOVED = "the video goes on as another one (PID), as in joined recordings: name these one by one"
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
        if not self.is_steady:
            return 0
        near = self._near()
        mean = sum(ms * count for ms, count in near.items()) / sum(near.values())
        return sum(count * (round(ms / mean) - 1) for ms, count in self._distances_ms.items() if ms > GAP * mean)

    @property
    def is_steady(self) -> bool:
        """True if the frames come at a constant rate, apart from gaps."""
        near = self._near() if self._distances_ms else {}
        return bool(near) and sum(near.values()) >= STEADY_SHARE * self._distances_ms.total()

    def _near(self) -> dict[int, int]:
        """The distances near the median, and how many there are of each; none if time stands still."""
        usual = self._usual_ms()
        return {ms: n for ms, n in self._distances_ms.items() if usual > 0 and abs(ms - usual) <= 1 + usual / 10}

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
    from fer_edge.media.bitstream.structure import empty_packets, is_damaged
    from fer_edge.media.containers import announces_length, is_cut_short, owed_frames  # not needed before the end

    is_cut, owed = is_cut_short(path), owed_frames(path)
    breaks = max(0, breaks - empty_packets(path)) if breaks else 0
    unread = (announced or 0) - decoded if announces_length(path) else 0
    if owed is not None:
        missing = owed - decoded
    elif is_cut and announces_length(path):
        missing = unread if announced else 1
    elif is_cut:
        return 1, f"{decoded:,} frames, then the file is cut short: {COPY_AGAIN}"
    elif breaks or ((times.has_gap or unread > ANNOUNCED_TOO_MANY) and is_damaged(path)):
        missing = times.lost or (unread if times.is_steady and not times.has_gap else 0)
        if missing <= 0:
            return max(breaks, 1), f"{decoded:,} frames, others are damaged: {COPY_AGAIN}"
    else:
        return 0, ""
    if missing <= 0:
        return 0, ""
    why = f"the file is cut short: {COPY_AGAIN}" if is_cut else "the others are damaged"
    return missing, f"{decoded:,} of {decoded + missing:,} frames: {why}"


class Delivered(NamedTuple):
    """How a video was read.

    codec: FFmpeg's code. size: width and height of frames in pixels. aspect: width of a pixel by its height.
    is_deinterlaced: by FFmpeg's filters.
    """

    codec: str
    size: tuple[int, int]
    aspect: float
    is_deinterlaced: bool


class Losses(NamedTuple):
    """How many frames were not read, how many were read in a wrong shape, and why."""

    missing: int = 0
    misread: int = 0
    why: str = ""


def changed_frames(path: Path, decoded: int, delivered: Delivered) -> Losses:
    """The frames of `path` that differ from the others in size or shape, so that they were not read rightly.

    Known for files whose parameters lie between their frames (`media.bitstream.changes`). decoded: frames that were
    read. OSError if the file is gone.
    """
    from fer_edge.media.bitstream.changes import moved_frames, parts_of  # not needed before the end

    parts, moved = parts_of(path, delivered.codec), moved_frames(path, delivered.codec)
    total = sum(part.total for part in parts)
    if moved and decoded <= total + moved // 2:  # else FFmpeg has read them
        return Losses(moved, 0, f"{moved:,} of {decoded + moved:,} frames were not read: {MOVED}")
    if len(parts) < 2:
        return Losses()
    right = min(parts, key=lambda part: _difference(part.frames, delivered)).frames
    grown = [part for part in parts if _has_grown(right, part.frames)]
    lost, most = total - decoded, sum(part.total for part in grown)
    if grown and lost > min(most - 1, ANNOUNCED_TOO_MANY):  # FFmpeg may lose a frame at any change
        frames = grown[0].frames
        why = (
            f"{lost:,} of {total:,} frames were not read: from byte {grown[0].place:,} on they grow to "
            f"{frames.width} x {frames.height} pixels: {ONE_SHAPE}"
        )
        return Losses(lost, 0, why)
    wrong = [part for part in parts if delivered.is_deinterlaced and _is_garbled(right, part.frames)]
    what = "the format of pixels"
    if not wrong:
        wrong, what = [part for part in parts if _is_squeezed(right, part.frames)], "the shape of frames or pixels"
    count = min(sum(part.total for part in wrong), decoded)
    if not count:
        return Losses()
    why = f"{count:,} of {total:,} frames are distorted, as {what} changes at byte {parts[1].place:,}: {ONE_SHAPE}"
    return Losses(0, count, why)


def _difference(frames: "Frames", delivered: Delivered) -> tuple[bool, float]:
    return (frames.width, frames.height) != delivered.size, abs(frames.aspect - delivered.aspect)


def _has_grown(right: "Frames", other: "Frames") -> bool:
    """True if frames are larger than the right ones, so large that FFmpeg may not decode them."""
    pixels = other.width * other.height
    plane_bytes = pixels * (1 if other.samples[1] <= BITS else 2)
    return pixels > right.width * right.height and not allows_frames(plane_bytes)


def _is_garbled(right: "Frames", other: "Frames") -> bool:
    """True if FFmpeg's filters garble other frames: progressive ones of 8 bits, in another format of pixels."""
    return other.is_progressive and other.samples[1] == BITS and other.samples != right.samples


def _is_squeezed(right: "Frames", other: "Frames") -> bool:
    """True if faces of other frames are squeezed, as these are scaled to the size of the right ones."""
    squeeze = (other.width * other.aspect / other.height) / (right.width * right.aspect / right.height)
    return not 1 / MAX_SQUEEZE <= squeeze <= MAX_SQUEEZE
