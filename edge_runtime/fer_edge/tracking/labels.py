"""From followed faces to labelled ones: who is classified when, smoothing, and the label that is shown."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_edge.framing import Box, Framing, Image, clip
from fer_edge.network.classifier import Classifier
from fer_edge.results import Face
from fer_edge.tracking.smoothing import LabelSmoother
from fer_edge.tracking.tracker import Track

JITTER_S = 0.005  # frames come a little early or late; every third of 30 a second shall be due at 0.1 s
GROWN = 1.2  # a face that is so many times larger or smaller than when it was classified shows something new


class _Label(NamedTuple):
    """What is known of a face. read_at: monotonic seconds of the frame it was read from; t: that frame's own time."""

    probabilities: npt.NDArray[np.floating]
    shown: int
    read_at: float
    t: float
    side: float


class EmotionLabeler:
    """Classifies the faces of one stream, frame by frame, all that are due in one call.

    A face is due when it is new, when its label is `interval_s` old, or when its size has changed. With
    an interval of 0 every face is classified in every frame. smooth_s: see Smoother.

    flips: how often a face's shown label has changed. classified: how many faces went through the network.
    """

    def __init__(self, classifier: Classifier, framing: Framing, interval_s: float, smooth_s: float) -> None:
        self.flips = self.classified = 0
        self._classifier, self._framing, self._interval_s = classifier, framing, interval_s
        self._smoother = LabelSmoother(smooth_s)
        self._labels: dict[int, _Label] = {}

    def label(self, image: Image, tracks: Sequence[Track], t: float, captured_at: float) -> tuple[Face, ...]:
        """The faces of a frame at time `t` in seconds, captured at `captured_at` in monotonic seconds.

        Their `age_ms` is how much older than this frame the one is from which the label was read.
        """
        due = [track for track in tracks if self._is_due(track, t)]
        squares = [self._framing.square(track.box) for track in due]
        for track, row in zip(due, self._classifier.classify(image, squares), strict=True):
            self._take(track, row, t, captured_at)
        self.classified += len(due)
        present = {track.track_id for track in tracks}
        self._labels = {track_id: label for track_id, label in self._labels.items() if track_id in present}
        self._smoother.keep(present)
        return tuple(self._face(track, image, captured_at) for track in tracks)

    def _is_due(self, track: Track, t: float) -> bool:
        label = self._labels.get(track.track_id)
        if label is None or not 0 <= t - label.t < self._interval_s - JITTER_S:  # a time that jumps back counts as old
            return True
        change = track.box[3] / label.side if label.side else 1.0
        return not 1 / GROWN <= change <= GROWN

    def _take(self, track: Track, row: npt.NDArray[np.float32], t: float, captured_at: float) -> None:
        probabilities, index = self._smoother.update(track.track_id, row, t)
        before = self._labels.get(track.track_id)
        self.flips += before is not None and before.shown != index
        self._labels[track.track_id] = _Label(probabilities, index, captured_at, t, track.box[3])

    def _face(self, track: Track, image: Image, captured_at: float) -> Face:
        label = self._labels[track.track_id]
        return to_face(
            track.box, track.score, label.probabilities, self._classifier.labels, image, label.shown, track.track_id,
            1000 * (captured_at - label.read_at),
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
    """Join a box and its probabilities [classes]; `index` is the shown label if it is not the likeliest."""
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
