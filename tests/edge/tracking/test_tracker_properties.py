"""Numbers and boxes of the tracker stay valid for any detections in any images (hypothesis)."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.detectors.base import Detection
from fer_edge.framing import iou
from fer_edge.tracking.tracker import HOLD_S, FaceTracker

side = st.floats(8, 80)
boxes = st.tuples(st.floats(-40, 120), st.floats(-40, 100), side, side)
frames = st.lists(
    st.tuples(
        st.sampled_from(["update", "predict"]),
        st.lists(boxes, max_size=5),
        st.integers(0, 2),  # index of the image
        st.floats(-2.0, 5.0),  # seconds since the last frame; below 0 if the clock restarts
    ),
    max_size=15,
)
IMAGES = [
    np.random.default_rng(1).integers(0, 256, (90, 120), dtype=np.uint8),
    np.random.default_rng(2).integers(0, 256, (45, 60), dtype=np.uint8).repeat(2, axis=0).repeat(2, axis=1),
    np.zeros((90, 120), dtype=np.uint8),
]


@settings(max_examples=40)
@given(frames, st.booleans())
def test_numbers_are_unique_in_a_frame_and_never_reused(frames, hold: bool) -> None:
    tracker, t, known, gone = FaceTracker(hold), 0.0, set(), set()
    for action, found, index, step in frames:
        t += step
        gray = IMAGES[index]
        detections = [Detection(box, 0.5) for box in found]
        tracks = tracker.update(gray, detections, t) if action == "update" else tracker.predict(gray, t)
        ids = [track.track_id for track in tracks]
        assert len(set(ids)) == len(ids)
        assert all(0 <= number < tracker.count for number in ids)
        if action == "update":
            assert [track.box for track in tracks[: len(found)]] == found, "every detection is a face in its place"
        else:
            assert set(ids) <= known, "prediction creates no faces"
        if not hold:
            assert not gone & set(ids), "a forgotten number comes back"
            gone |= known - set(ids)
        known = set(ids)
        assert all(math.isfinite(value) for track in tracks for value in track.box)
        assert all(track.box[2] > 0 and track.box[3] > 0 for track in tracks)


@settings(max_examples=25)
@given(st.lists(st.lists(boxes, max_size=3), min_size=1, max_size=10), st.floats(0.01, 1.0))
def test_a_face_that_is_no_longer_detected_is_dropped_in_time(rounds, step_s: float) -> None:
    tracker, t = FaceTracker(), 0.0
    for found in rounds:
        tracker.update(IMAGES[0], [Detection(box, 0.5) for box in found], t)
        t += step_s
    for _ in range(math.ceil(HOLD_S / step_s) + 2):
        tracks = tracker.update(IMAGES[0], [], t)
        t += step_s
    assert tracks == []


@given(boxes, boxes)
def test_iou_is_symmetric_and_between_0_and_1(a, b) -> None:
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, b) == iou(b, a)
    assert math.isclose(iou(a, a), 1, rel_tol=1e-6)
