"""Keep hold of faces from frame to frame: match new detections to known faces, and follow them in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fer_edge.detectors import Detection
from fer_edge.framing import Box, Image, Square, crop
from fer_edge.opencv import cv2

MIN_IOU = 0.3  # boxes of one face at 5 frames a second and more overlap at least so far
TEMPLATE_PX = 32  # a face is followed at this size: enough to tell it, cheap to search
SEARCH = 2.0  # side of the searched square in faces: a face may move half its size between two frames
MIN_MATCH = 0.6  # normalised correlation below which a face is not the one we knew
HOLD_S = 3.0  # how long a face that the detector misses is believed, as long as it is seen to be there
FLAT_STD = 2.0  # grey levels; a patch without structure can't be found again


@dataclass(frozen=True)
class Track:
    """A face that is being followed.

    track_id: its number. box: (x, y, width, height) in source pixels. score: of its last detection.
    detected_t: the time in seconds of its last detection. template: uint8 [32, 32], its look then.
    match: normalised correlation with that look, 1 at a detection.
    """

    track_id: int
    box: Box
    score: float
    detected_t: float
    template: Image
    match: float = 1.0


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a[2] * a[3] + b[2] * b[3] - common)


class Follower:
    """Numbers faces from 0 and follows them. Give it every frame in order: to `detected` or to `follow`.

    A face that the detector misses is kept while it still looks as it did, for at most HOLD_S
    seconds, so a single miss ends nothing; one that has left no longer matches and is forgotten at
    once. A face that sits still is detected, or matches, again and again: it is never dropped.
    """

    def __init__(self, hold: bool = True) -> None:
        """With `hold` false a face that the detector misses is forgotten at once, and nothing is followed."""
        self._hold = hold
        self._tracks: list[Track] = []
        self.count = 0

    def reset(self) -> None:
        """Forget every face, as at a new picture that has nothing to do with the last."""
        self._tracks = []

    def detected(self, gray: Image, detections: Sequence[Detection], t: float) -> list[Track]:
        """Take in the detector's faces of a frame (gray uint8 [H, W]) at time `t` in seconds."""
        known = self._moved(gray) if self._hold else self._tracks
        pairs = _matches([track.box for track in known], [detection.box for detection in detections])
        updated = []
        for index, detection in enumerate(detections):
            row = pairs.get(index)
            if row is None:
                track_id, self.count = self.count, self.count + 1
            else:
                track_id = known[row].track_id
            template = crop(gray, _square(detection.box), (TEMPLATE_PX, TEMPLATE_PX))
            updated.append(Track(track_id, detection.box, detection.score, t, template))
        missed = [track for row, track in enumerate(known) if row not in pairs.values()]
        updated += [
            track
            for track in missed
            if self._hold and self._is_there(track, t) and all(iou(track.box, other.box) < MIN_IOU for other in updated)
        ]
        self._tracks = updated
        return list(updated)

    def follow(self, gray: Image, t: float) -> list[Track]:
        """Where the known faces are in a frame on which the detector does not run."""
        self._tracks = [track for track in self._moved(gray) if self._is_there(track, t)]
        return list(self._tracks)

    def _moved(self, gray: Image) -> list[Track]:
        return [_find(gray, track) for track in self._tracks]

    @staticmethod
    def _is_there(track: Track, t: float) -> bool:
        return track.match >= MIN_MATCH and t - track.detected_t <= HOLD_S


def _square(box: Box) -> Square:
    x, y, width, height = box
    return Square(x + width / 2, y + height / 2, max(width, height))


def _matches(known: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """For each index of `found` that overlaps a known box enough, the index of that box.

    The pair that overlaps most comes first, so that a face is not robbed by its neighbour.
    """
    pairs = sorted(
        (
            (-overlap, row, column)
            for row, old in enumerate(known)
            for column, new in enumerate(found)
            if (overlap := iou(old, new)) >= MIN_IOU
        )
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _overlap, row, column in pairs:
        if row not in taken and column not in matched:
            taken.add(row)
            matched[column] = row
    return matched


def _find(gray: Image, track: Track) -> Track:
    """`track` where its template fits best in `gray`, by normalised correlation (cv2.TM_CCOEFF_NORMED)."""
    if float(track.template.std()) < FLAT_STD:
        return track
    square = _square(track.box)
    searched_px = round(SEARCH * TEMPLATE_PX)
    region = crop(gray, replace(square, side=square.side * SEARCH), (searched_px, searched_px))
    fit: npt.NDArray[np.floating] = np.nan_to_num(
        cv2.matchTemplate(region, track.template, cv2.TM_CCOEFF_NORMED), posinf=0, neginf=0
    )
    _, match, _, (column, row) = cv2.minMaxLoc(fit)
    middle = (searched_px - TEMPLATE_PX) / 2
    pixel = square.side / TEMPLATE_PX  # source pixels that one template pixel stands for
    right = (column + _peak(fit[row], column) - middle) * pixel
    down = (row + _peak(fit[:, column], row) - middle) * pixel
    x, y, width, height = track.box
    return replace(track, box=(x + right, y + down, width, height), match=float(match))


def _peak(line: npt.NDArray[np.floating], at: int) -> float:
    """Offset (-0.5 to 0.5) of the top of the parabola through the maximum at index `at` and its neighbours."""
    if at == 0 or at == len(line) - 1:
        return 0.0
    before, here, after = (float(value) for value in line[at - 1 : at + 2])
    curvature = before - 2 * here + after
    return 0.0 if curvature >= 0 else 0.5 * (before - after) / curvature
