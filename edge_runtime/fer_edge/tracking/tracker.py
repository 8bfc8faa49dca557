"""Keep hold of faces from frame to frame: match new detections to known faces, and follow them in between."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fer_edge.detectors.base import Detection
from fer_edge.framing import Box, Image, Square, crop, iou, iou_matrix
from fer_edge.opencv import cv2

MIN_IOU = 0.3  # boxes of one face at 5 frames a second and more overlap at least so far
PLAIN_IOU = 0.5  # and with nothing else near, there is no doubt
TEMPLATE_PX = 32  # a face is followed at this size: enough to tell it, cheap to search
SEARCH = 2.0  # side of the searched square in faces: a face may move half its size between two frames
MIN_MATCH = 0.6  # normalised correlation below which a face is not the one we knew
SURE_MATCH = 0.9  # above it the face has its old size; below, a little larger and smaller are tried as well
SCALE_STEP = 1.08  # between two frames; a face that comes nearer at walking pace grows less
HOLD_S = 3.0  # how long a face that the detector misses is believed, as long as it is seen to be there
HOLD_PER_KNOWN = 2.0  # and for so many times as long as it was known: a detector may see one frame of three
REMEMBER_S = 1.0  # how long a face that is no longer seen keeps its number, in case it comes back
REACH = 2.0  # in face sizes: how far it may come back from where it was last seen
MAX_GROWTH = 1.5  # and how much larger or smaller
FLAT_STD = 2.0  # grey levels; a patch without structure can't be found again


@dataclass(frozen=True, eq=False)  # arrays don't compare
class Track:
    """A face that is being followed.

    track_id: its number. box: (x, y, width, height) in source pixels. score: of its last detection.
    detected_t: the time in seconds of its last detection. template: uint8 [32, 32], its look then, or the last
    time that no other face was in the way.
    match: normalised correlation with that look, 1 at a detection. known_s: how long it had been known
    by then. missed_t: the time at which the detector first missed it since then, or None.
    """

    track_id: int
    box: Box
    score: float
    detected_t: float
    template: Image
    match: float = 1.0
    known_s: float = 0.0
    missed_t: float | None = None


class FaceTracker:
    """Numbers faces from 0 and follows them. Give it every frame in order: to `detected` or to `follow`.

    A face that the detector misses is kept while it still looks as it did, for twice as long as it was
    known before, at most HOLD_S seconds: a miss now and then ends nothing, and a false alarm of one frame is not
    held. A face that has left no longer matches and is forgotten at once; its number is remembered for
    REMEMBER_S, for one that passes behind another or turns away and comes back. A face that sits still
    is detected, or matches, again and again: it is never dropped.
    """

    def __init__(self, hold: bool = True) -> None:
        """With `hold` false a face is forgotten as soon as the detector misses it."""
        self._hold = hold
        self._tracks: list[Track] = []
        self._lost: list[tuple[float, Track]] = []  # with the time at which it was last believed
        self.count = 0

    def reset(self) -> None:
        """Forget every face, as at a new picture that has nothing to do with the last."""
        self._tracks, self._lost = [], []

    def detected(self, gray: Image, detections: Sequence[Detection], t: float) -> list[Track]:
        """Take in the detector's faces of a frame (gray uint8 [H, W]) at time `t` in seconds."""
        found = [detection.box for detection in detections]
        plain = _plainly_matched([track.box for track in self._tracks], found)
        known = [
            _find(gray, track) if self._hold and row not in plain else track for row, track in enumerate(self._tracks)
        ]
        pairs = _matches([track.box for track in known], found)
        unmatched = [track for row, track in enumerate(known) if row not in pairs.values()]
        missed = [replace(track, missed_t=t if track.missed_t is None else track.missed_t) for track in unmatched]
        there = self._still_there(gray, missed, t)
        touching = (iou_matrix(found, found) > 0).sum(axis=1) > 1
        updated = []
        for index, detection in enumerate(detections):
            row = pairs.get(index)
            before = self._returned(gray, detection.box) if row is None else known[row]
            updated.append(self._track(gray, detection, before, t, covered=touching[index]))
        taken = [track.box for track in updated]
        self._tracks = updated + [track for track in there if all(iou(track.box, box) < MIN_IOU for box in taken)]
        return list(self._tracks)

    def follow(self, gray: Image, t: float) -> list[Track]:
        """Where the known faces are in a frame on which the detector does not run."""
        self._tracks = self._still_there(gray, [_find(gray, track) for track in self._tracks], t)
        return list(self._tracks)

    def _track(self, gray: Image, detection: Detection, before: Track | None, t: float, covered: np.bool_) -> Track:
        if before is None:
            track_id, self.count, known_s = self.count, self.count + 1, 0.0
        else:
            track_id, known_s = before.track_id, before.known_s + abs(t - before.detected_t)
        if before is not None and covered:  # one passes in front of the other: the look from before is the better one
            template = before.template
        else:
            template = crop(gray, _square(detection.box), (TEMPLATE_PX, TEMPLATE_PX))
        return Track(track_id, detection.box, detection.score, t, template, known_s=known_s)

    def _is_there(self, gray: Image, track: Track, t: float) -> bool:
        square = _square(track.box)
        inside = 0 <= square.x < gray.shape[1] and 0 <= square.y < gray.shape[0]
        held = track.missed_t is None or (
            self._hold and abs(t - track.missed_t) < min(HOLD_PER_KNOWN * track.known_s, HOLD_S)
        )
        return inside and held and track.match >= MIN_MATCH

    def _still_there(self, gray: Image, tracks: Sequence[Track], t: float) -> list[Track]:
        """Those that are; the others are lost."""
        self._lost = [(lost_t, track) for lost_t, track in self._lost if abs(t - lost_t) <= REMEMBER_S]
        there = []
        for track in tracks:
            if self._is_there(gray, track, t):
                there.append(track)
            elif self._hold:
                self._lost.append((t, track))
        return there

    def _returned(self, gray: Image, box: Box) -> Track | None:
        """The lost face that the one in `box` looks most like, if any; it is lost no more."""
        here = _square(box)
        likeness = [
            _find(gray, replace(track, box=box, match=0.0)).match if _near(_square(track.box), here) else 0.0
            for _lost_t, track in self._lost
        ]
        if not likeness or max(likeness) < MIN_MATCH:
            return None
        return self._lost.pop(int(np.argmax(likeness)))[1]


def _square(box: Box) -> Square:
    x, y, width, height = box
    return Square(x + width / 2, y + height / 2, max(width, height))


def _near(a: Square, b: Square) -> bool:
    smaller, larger = sorted((a.side, b.side))
    return max(abs(a.x - b.x), abs(a.y - b.y)) <= REACH * larger and larger <= MAX_GROWTH * smaller


def _plainly_matched(known: Sequence[Box], found: Sequence[Box]) -> set[int]:
    """The indices of `known` boxes that one found box has hardly moved from, with no other near: no need to search."""
    overlaps = iou_matrix(known, found)
    touches = overlaps > 0
    alone = (touches.sum(axis=1, keepdims=True) == 1) & (touches.sum(axis=0, keepdims=True) == 1)
    return set(np.flatnonzero((alone & (overlaps >= PLAIN_IOU)).any(axis=1)).tolist())


def _matches(known: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """For each index of `found` that overlaps a known box enough, the index of that box.

    The pair that overlaps most comes first, so that a face is not robbed by its neighbour.
    """
    overlaps = iou_matrix(known, found)
    rows, columns = np.nonzero(overlaps >= MIN_IOU)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken and column not in matched:
            taken.add(row)
            matched[column] = row
    return matched


def _find(gray: Image, track: Track) -> Track:
    """`track` where, and at the size at which, its template fits best in `gray`."""
    if float(track.template.std()) < FLAT_STD:
        return track
    best = _find_at(gray, track, 1.0)
    if best.match < SURE_MATCH:
        others = [_find_at(gray, track, scale) for scale in (SCALE_STEP, 1 / SCALE_STEP)]
        best = max(best, *others, key=lambda found: found.match)
    return best


def _find_at(gray: Image, track: Track, scale: float) -> Track:
    """`track` at `scale` times its size where it fits best, by normalised correlation (cv2.TM_CCOEFF_NORMED)."""
    square = _square(track.box)
    side = square.side * scale
    searched_px = round(SEARCH * TEMPLATE_PX)
    region = crop(gray, square._replace(side=side * SEARCH), (searched_px, searched_px))
    fit: npt.NDArray[np.floating] = np.nan_to_num(
        cv2.matchTemplate(region, track.template, cv2.TM_CCOEFF_NORMED), posinf=0, neginf=0
    )
    _, match, _, (column, row) = cv2.minMaxLoc(fit)
    middle = (searched_px - TEMPLATE_PX) / 2
    pixel = side / TEMPLATE_PX  # source pixels that one template pixel stands for
    x = square.x + (column + _peak(fit[row], column) - middle) * pixel
    y = square.y + (row + _peak(fit[:, column], row) - middle) * pixel
    width, height = track.box[2] * scale, track.box[3] * scale
    return replace(track, box=(x - width / 2, y - height / 2, width, height), match=float(match))


def _peak(line: npt.NDArray[np.floating], at: int) -> float:
    """Offset (-0.5 to 0.5) of the top of the parabola through the maximum at index `at` and its neighbours."""
    if at == 0 or at == len(line) - 1:
        return 0.0
    before, here, after = (float(value) for value in line[at - 1 : at + 2])
    curvature = before - 2 * here + after
    return 0.0 if curvature >= 0 else 0.5 * (before - after) / curvature
