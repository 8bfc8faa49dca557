"""From tracked faces to labeled ones: when a face is classified, and which label is shown."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.framing import Box, Framing, Image, clip
from fer_edge.network.classifier import Classifier
from fer_edge.results import Face
from fer_edge.tracking.smoothing import LabelSmoother
from fer_edge.tracking.tracker import Track

JITTER_S = 0.005  # frames come a little early or late: at 30 per second, every third one is due after 0.1 s
SIZE_CHANGE = 1.2  # a face that grew or shrank by this factor since its classification is classified again


class LabeledFaces(NamedTuple):
    """The faces of a frame, in the order of its tracks.

    classified: how many of them the network classified on this frame. changes: how many changed their shown label.
    """

    faces: tuple[Face, ...]
    classified: int
    changes: int


class _Label(NamedTuple):
    """A face's last classification. captured_at (monotonic) and t (media) are the times of the classified frame."""

    probabilities: npt.NDArray[np.floating]
    shown: int
    captured_at: float
    t: float
    height: float


class EmotionLabeler:
    """Labels the faces of one stream, frame by frame; classifies all due faces of a frame in one batch.

    A face is due if it is new, if its label is `interval_s` seconds old, or if its size has changed. With an interval
    of 0 every face is classified in every frame. smooth_s: see LabelSmoother.
    """

    def __init__(self, classifier: Classifier, framing: Framing, interval_s: float, smooth_s: float) -> None:
        self._classifier, self._framing, self._interval_s = classifier, framing, interval_s
        self._smoother = LabelSmoother(smooth_s)
        self._labels: dict[int, _Label] = {}

    def label(self, image: Image, tracks: Sequence[Track], t: float, captured_at: float) -> LabeledFaces:
        """Label the faces of a frame at time `t` in seconds, captured at `captured_at` in monotonic seconds.

        `age_ms` of a face is the time between its classified frame and this one.
        """
        due = [track for track in tracks if self._is_due(track, t)]
        squares = [self._framing.square(track.box) for track in due]
        changes = 0
        for track, row in zip(due, self._classifier.classify(image, squares), strict=True):
            changes += self._update(track, row, t, captured_at)
        present = {track.track_id for track in tracks}
        self._labels = {track_id: label for track_id, label in self._labels.items() if track_id in present}
        self._smoother.keep(present)
        faces = tuple(self._face(track, image, captured_at) for track in tracks)
        return LabeledFaces(faces, len(due), changes)

    def _is_due(self, track: Track, t: float) -> bool:
        label = self._labels.get(track.track_id)
        if label is None or not 0 <= t - label.t < self._interval_s - JITTER_S:  # a clock that went back: due, too
            return True
        factor = track.box[3] / label.height if label.height else 1.0
        return not 1 / SIZE_CHANGE <= factor <= SIZE_CHANGE

    def _update(self, track: Track, row: npt.NDArray[np.float32], t: float, captured_at: float) -> bool:
        """Store a new classification; True if the shown label changes."""
        probabilities, index = self._smoother.update(track.track_id, row, t)
        before = self._labels.get(track.track_id)
        self._labels[track.track_id] = _Label(probabilities, index, captured_at, t, track.box[3])
        return before is not None and before.shown != index

    def _face(self, track: Track, image: Image, captured_at: float) -> Face:
        label = self._labels[track.track_id]
        return to_face(
            track.box, track.score, label.probabilities, self._classifier.labels, image, label.shown, track.track_id,
            1000 * (captured_at - label.captured_at),
        )  # fmt: skip


def to_face(
    box: Box,
    score: float,
    probabilities: npt.NDArray[np.floating],
    labels: Sequence[str],
    image: Image,
    index: int | None = None,
    track_id: int | None = None,
    age_ms: float = 0.0,
) -> Face:
    """Join a box and its probabilities [classes]; `index` is the label to show, by default the most probable one."""
    values = probabilities.tolist()
    shown = int(np.argmax(probabilities)) if index is None else index
    return Face(
        box=clip(box, image.shape[1], image.shape[0]),
        score=score,
        emotion=labels[shown],
        confidence=values[shown],
        probabilities=dict(zip(labels, values, strict=True)),
        track_id=track_id,
        age_ms=age_ms,
    )
