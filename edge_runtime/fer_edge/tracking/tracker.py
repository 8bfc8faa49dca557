"""Track faces from frame to frame: match detections with known faces, and search for the faces in between.

Matching is by overlap (IoU), greedily. The search is template matching by normalized correlation
(cv2.TM_CCOEFF_NORMED) around the last position, on a face of 32 x 32 pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.detectors.base import Detection
from fer_edge.framing import Box, Image, Square, crop, iou, iou_matrix
from fer_edge.opencv import cv2

MATCH_IOU = 0.3  # at 5 frames per second and more, two boxes of one face overlap at least this much
CLEAR_MATCH_IOU = 0.5  # with no other face near, such a match needs no search
TEMPLATE_PX = 32  # enough to recognize a face, cheap to search for
SEARCH_SIZE = 2.0  # side of the searched square in faces: a face may move by half its size between two frames
MIN_CORRELATION = 0.6  # below it, this is not the known face
SURE_CORRELATION = 0.9  # below it, slightly larger and smaller sizes are searched, too
SCALE_STEP = 1.08  # a face that approaches at walking pace grows less between two frames
HOLD_S = 3.0  # longest time that an undetected face is kept while it still looks the same
HOLD_PER_KNOWN = 2.0  # and in multiples of the time it was known: a detector may find one frame in three
REMEMBER_S = 1.0  # how long a lost face keeps its number, in case it comes back
RETURN_DISTANCE = 2.0  # how far from its last position it may come back, in face sizes
RETURN_SCALE = 1.5  # how much larger or smaller it may then be
MIN_TEMPLATE_STD = 2.0  # gray levels; a flatter patch can't be located


class Track(NamedTuple):
    """A tracked face.

    track_id: its number. box: (x, y, width, height) in source pixels. score: of its last detection.
    detected_t: time of its last detection in seconds.
    template: uint8 [32, 32], its pixels at its last detection that no other face covered.
    correlation: normalized correlation with the template, 1 at a detection.
    known_s: how long it had been known at its last detection. missed_t: when the detector first missed it since then.
    """

    track_id: int
    box: Box
    score: float
    detected_t: float
    template: Image
    correlation: float = 1.0
    known_s: float = 0.0
    missed_t: float | None = None


class FaceTracker:
    """Numbers faces from 0 and tracks them. Every frame, in order, goes to `update` or to `predict`.

    A face that the detector misses is kept while it looks the same, for twice as long as it was known before and at
    most HOLD_S seconds. So a missed frame does not end a track, and a false alarm on one frame is not kept. A face that
    left no longer matches and is dropped at once. Its number is remembered for REMEMBER_S seconds, in case it was only
    hidden or turned away.

    hold: False drops a face as soon as the detector misses it. `count` is the number of faces so far.
    """

    def __init__(self, hold: bool = True) -> None:
        self._hold = hold
        self._tracks: list[Track] = []
        self._lost: list[tuple[float, Track]] = []  # with the time of the loss
        self.count = 0

    def reset(self) -> None:
        """Forget every face: the next image has nothing in common with the last one."""
        self._tracks, self._lost = [], []

    def update(self, gray: Image, detections: Sequence[Detection], t: float) -> list[Track]:
        """Match the detections of a frame (gray uint8 [H, W]) at time `t` in seconds; return its faces.

        Detected faces come first, in the order of the detections.
        """
        boxes = [detection.box for detection in detections]
        clear = _clear_matches([track.box for track in self._tracks], boxes)
        known = [
            _locate(gray, track) if self._hold and index not in clear else track
            for index, track in enumerate(self._tracks)
        ]
        matches = _match([track.box for track in known], boxes)
        unmatched = [track for index, track in enumerate(known) if index not in matches.values()]
        missed = [track._replace(missed_t=t if track.missed_t is None else track.missed_t) for track in unmatched]
        present = self._drop_lost(gray, missed, t)
        overlapping = (iou_matrix(boxes, boxes) > 0).sum(axis=1) > 1
        updated = []
        for index, detection in enumerate(detections):
            match = matches.get(index)
            before = self._recall(gray, detection.box) if match is None else known[match]
            updated.append(self._track(gray, detection, before, t, overlapping[index]))
        taken = [track.box for track in updated]
        self._tracks = updated + [track for track in present if all(iou(track.box, box) < MATCH_IOU for box in taken)]
        return list(self._tracks)

    def predict(self, gray: Image, t: float) -> list[Track]:
        """Locate the known faces in a frame on which the detector does not run."""
        self._tracks = self._drop_lost(gray, [_locate(gray, track) for track in self._tracks], t)
        return list(self._tracks)

    def _track(self, gray: Image, detection: Detection, before: Track | None, t: float, overlapping: np.bool_) -> Track:
        """The new state of a detected face; `before` is its last one, or None for a new face."""
        if before is None:
            track_id, self.count, known_s = self.count, self.count + 1, 0.0
        else:
            track_id, known_s = before.track_id, before.known_s + abs(t - before.detected_t)
        if before is not None and overlapping:  # one face covers another: the old template is the better one
            template = before.template
        else:
            template = crop(gray, _square(detection.box), (TEMPLATE_PX, TEMPLATE_PX))
        return Track(track_id, detection.box, detection.score, t, template, known_s=known_s)

    def _is_present(self, gray: Image, track: Track, t: float) -> bool:
        square = _square(track.box)
        inside = 0 <= square.x < gray.shape[1] and 0 <= square.y < gray.shape[0]
        held = track.missed_t is None or (
            self._hold and abs(t - track.missed_t) < min(HOLD_PER_KNOWN * track.known_s, HOLD_S)
        )
        return inside and held and track.correlation >= MIN_CORRELATION

    def _drop_lost(self, gray: Image, tracks: Sequence[Track], t: float) -> list[Track]:
        """The tracks that are still present; the others are remembered as lost."""
        self._lost = [(lost_t, track) for lost_t, track in self._lost if abs(t - lost_t) <= REMEMBER_S]
        present = []
        for track in tracks:
            if self._is_present(gray, track, t):
                present.append(track)
            elif self._hold:
                self._lost.append((t, track))
        return present

    def _recall(self, gray: Image, box: Box) -> Track | None:
        """The lost face that looks most like the one in `box`, if any; it is no longer lost."""
        square = _square(box)
        correlations = [
            _locate(gray, track._replace(box=box, correlation=0.0)).correlation
            if _may_return(_square(track.box), square)
            else 0.0
            for _lost_t, track in self._lost
        ]
        if not correlations or max(correlations) < MIN_CORRELATION:
            return None
        return self._lost.pop(int(np.argmax(correlations)))[1]


def _square(box: Box) -> Square:
    x, y, width, height = box
    return Square(x + width / 2, y + height / 2, max(width, height))


def _may_return(a: Square, b: Square) -> bool:
    smaller, larger = sorted((a.side, b.side))
    return max(abs(a.x - b.x), abs(a.y - b.y)) <= RETURN_DISTANCE * larger and larger <= RETURN_SCALE * smaller


def _clear_matches(known: Sequence[Box], found: Sequence[Box]) -> set[int]:
    """Indices of `known` boxes that one found box overlaps well and no other one touches: they need no search."""
    overlaps = iou_matrix(known, found)
    touches = overlaps > 0
    alone = (touches.sum(axis=1, keepdims=True) == 1) & (touches.sum(axis=0, keepdims=True) == 1)
    return set(np.flatnonzero((alone & (overlaps >= CLEAR_MATCH_IOU)).any(axis=1)).tolist())


def _match(known: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """For each index of `found` that overlaps a known box enough, the index of that box.

    Pairs are taken by falling overlap, so that a neighbor does not take a face's number.
    """
    overlaps = iou_matrix(known, found)
    rows, columns = np.nonzero(overlaps >= MATCH_IOU)
    order = np.argsort(-overlaps[rows, columns], kind="stable")
    matches: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken and column not in matches:
            taken.add(row)
            matches[column] = row
    return matches


def _locate(gray: Image, track: Track) -> Track:
    """`track` at the position and size at which its template fits best in `gray`."""
    if float(track.template.std()) < MIN_TEMPLATE_STD:
        return track
    best = _locate_at_scale(gray, track, 1.0)
    if best.correlation < SURE_CORRELATION:
        others = [_locate_at_scale(gray, track, scale) for scale in (SCALE_STEP, 1 / SCALE_STEP)]
        best = max(best, *others, key=lambda found: found.correlation)
    return best


def _locate_at_scale(gray: Image, track: Track, scale: float) -> Track:
    """`track` at `scale` times its size, at the position at which its template fits best."""
    square = _square(track.box)
    side = square.side * scale
    searched_px = round(SEARCH_SIZE * TEMPLATE_PX)
    region = crop(gray, square._replace(side=side * SEARCH_SIZE), (searched_px, searched_px))
    fit: npt.NDArray[np.floating] = np.nan_to_num(
        cv2.matchTemplate(region, track.template, cv2.TM_CCOEFF_NORMED), posinf=0, neginf=0
    )
    _, correlation, _, (column, row) = cv2.minMaxLoc(fit)
    middle = (searched_px - TEMPLATE_PX) / 2
    pixel = side / TEMPLATE_PX  # source pixels per template pixel
    x = square.x + (column + _peak_offset(fit[row], column) - middle) * pixel
    y = square.y + (row + _peak_offset(fit[:, column], row) - middle) * pixel
    width, height = track.box[2] * scale, track.box[3] * scale
    return track._replace(box=(x - width / 2, y - height / 2, width, height), correlation=float(correlation))


def _peak_offset(line: npt.NDArray[np.floating], at: int) -> float:
    """Sub-pixel offset (-0.5 to 0.5) of the maximum at index `at`: the vertex of the parabola through it."""
    if at == 0 or at == len(line) - 1:
        return 0.0
    before, here, after = (float(value) for value in line[at - 1 : at + 2])
    curvature = before - 2 * here + after
    return 0.0 if curvature >= 0 else 0.5 * (before - after) / curvature
