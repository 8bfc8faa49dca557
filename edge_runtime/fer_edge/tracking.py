"""Give faces steady numbers from frame to frame by how far their boxes overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge.framing import Box

MIN_IOU = 0.3  # boxes of one face at 10 frames a second and more overlap at least so far
FORGET_AFTER_S = 1.0


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a[2] * a[3] + b[2] * b[3] - common)


@dataclass
class _Track:
    track_id: int
    box: Box
    seen_at: float


class Tracker:
    """Numbers faces from 0. A face unseen for FORGET_AFTER_S is forgotten and gets a new number when it is back."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self.count = 0

    def update(self, boxes: Sequence[Box], t: float) -> list[int]:
        """The number of each box, in order; `t` is the frame's time in seconds.

        The pair that overlaps most is matched first, so that a face is not robbed by its neighbour.
        """
        self._tracks = [track for track in self._tracks if t - track.seen_at <= FORGET_AFTER_S]
        pairs = sorted(
            (
                (overlap, row, column)
                for row, track in enumerate(self._tracks)
                for column, box in enumerate(boxes)
                if (overlap := iou(track.box, box)) >= MIN_IOU
            ),
            reverse=True,
        )
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for _overlap, row, column in pairs:
            if row not in taken and column not in matched:
                taken.add(row)
                matched[column] = self._tracks[row]
        ids = []
        for column, box in enumerate(boxes):
            track = matched.get(column) or self._new_track()
            track.box, track.seen_at = box, t
            ids.append(track.track_id)
        return ids

    def live_ids(self) -> set[int]:
        """The faces that are not forgotten yet."""
        return {track.track_id for track in self._tracks}

    def _new_track(self) -> _Track:
        track = _Track(self.count, (0.0, 0.0, 0.0, 0.0), 0.0)
        self.count += 1
        self._tracks.append(track)
        return track
