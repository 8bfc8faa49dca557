"""From tracked faces to labeled ones: when a face is classified, and which label is shown."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.framing import Box, Framing, Image, clip
from fer_edge.network.classifier import Classifier
from fer_edge.results import Face
from fer_edge.tracking.smoothing import LabelSmoother, Smoothed
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

    smoothed: Smoothed
    captured_at: float
    t: float
    height: float


class EmotionLabeler:
    """Labels the faces of one stream, frame by frame; classifies all due faces of a frame in one batch.

    A face is due if it is new, if its label is `interval_s` seconds old, or if its size has changed. With an interval
    of 0 every face is classified in every frame. smooth_s: see LabelSmoother. min_confidence: a less confident label is
    unsure; None: as the classifier's contract says.
    """

    def __init__(
        self, classifier: Classifier, framing: Framing, interval_s: float, smooth_s: float,
        min_confidence: float | None = None,
    ) -> None:  # fmt: skip
        self._classifier, self._framing, self._interval_s = classifier, framing, interval_s
        self._smoother = LabelSmoother(
            smooth_s, classifier.min_confidence if min_confidence is None else min_confidence
        )
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
        smoothed = self._smoother.update(track.track_id, row, t)
        before = self._labels.get(track.track_id)
        self._labels[track.track_id] = _Label(smoothed, captured_at, t, track.box[3])
        return before is not None and before.smoothed.label != smoothed.label

    def _face(self, track: Track, image: Image, captured_at: float) -> Face:
        label = self._labels[track.track_id]
        return replace(
            to_face(track.box, track.score, label.smoothed, self._classifier.labels, image),
            track_id=track.track_id,
            age_ms=1000 * (captured_at - label.captured_at),
        )


def to_face(box: Box, score: float, smoothed: Smoothed, labels: Sequence[str], image: Image) -> Face:
    """Join a box, clipped to the image, and the label found in it."""
    values = smoothed.probabilities.tolist()
    return Face(
        box=clip(box, image.shape[1], image.shape[0]),
        score=score,
        emotion=labels[smoothed.label],
        confidence=values[smoothed.label],
        probabilities=dict(zip(labels, values, strict=True)),
        unsure=smoothed.unsure,
    )
