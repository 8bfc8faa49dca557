"""Faces are textured patches on a noisy wall, so their position is known; each test plays the detector."""

import numpy as np
import numpy.typing as npt
import pytest

from fer_edge.detectors.base import Detection
from fer_edge.framing import Box, iou
from fer_edge.opencv import cv2
from fer_edge.tracking.tracker import HOLD_S, REMEMBER_S, FaceTracker, Track

SIZE = (320, 240)
FPS = 30
Gray = npt.NDArray[np.uint8]


def texture(seed: int, width: int, height: int) -> Gray:
    """Blobs of about an eighth of the size, as a face's features are."""
    coarse = np.random.default_rng(seed).integers(20, 235, (10, 10), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def scene(*faces: tuple[int, Box], noise: int = 0) -> Gray:
    """Faces (seed, box), the last in front, on a wall; `noise` seeds the camera's noise."""
    image = texture(999, *SIZE) // 4 + 90
    for seed, (x, y, width, height) in faces:
        matrix = np.float32([[width / 64, 0, x], [0, height / 64, y]])
        face = cv2.warpAffine(texture(seed, 64, 64), matrix, SIZE)
        mask = cv2.warpAffine(np.full((64, 64), 255, np.uint8), matrix, SIZE)
        image = np.where(mask > 127, face, image)
    return np.clip(image + np.random.default_rng(noise).normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def seen(*boxes: Box) -> list[Detection]:
    return [Detection(box, 1.0) for box in boxes]


def ids(tracks: list[Track]) -> list[int]:
    return sorted(track.track_id for track in tracks)


def test_a_still_face_is_kept_while_the_detector_misses_frames() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker()
    random = np.random.default_rng(1)
    for frame in range(300):
        missed = frame > 15 and random.random() < 0.7
        tracks = tracker.update(scene((1, box), noise=frame), [] if missed else seen(box), frame / FPS)
        assert ids(tracks) == [0], f"frame {frame}"
        assert iou(tracks[0].box, box) > 0.8


def test_a_face_that_leaves_is_dropped_at_once() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker()
    for frame in range(60):
        tracker.update(scene((1, box), noise=frame), seen(box), frame / FPS)
    assert tracker.update(scene(noise=60), [], 2.0) == []
    assert tracker.predict(scene((1, box), noise=61), 2.03) == []


def test_an_undetected_face_is_kept_for_a_bounded_time() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker()
    for frame in range(10 * FPS):
        tracker.update(scene((1, box), noise=frame), seen(box), frame / FPS)
    held = 0
    while tracker.update(scene((1, box), noise=held), [], 10 + held / FPS):
        held += 1
        assert held <= HOLD_S * FPS + 1
    assert held > 0.9 * HOLD_S * FPS


def test_a_false_alarm_on_one_frame_is_not_kept() -> None:
    tracker, wall = FaceTracker(), scene()
    assert ids(tracker.update(wall, seen((50.0, 50.0, 80.0, 80.0)), 0.0)) == [0]
    assert tracker.update(wall, [], 1 / FPS) == []


def test_without_holding_a_missed_frame_ends_a_track() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker(hold=False)
    for frame in range(60):
        tracker.update(scene((1, box)), seen(box), frame / FPS)
    assert tracker.update(scene((1, box)), [], 2.0) == []
    assert ids(tracker.update(scene((1, box)), seen(box), 2.1)) == [1]


def test_a_slow_detector_does_not_lose_a_still_face() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker()
    tracker.update(scene((1, box)), seen(box), 0.0)
    for second in range(1, 12):
        assert ids(tracker.predict(scene((1, box), noise=second), float(second))) == [0]


@pytest.mark.parametrize("growth", [1.22, 1 / 1.22])
def test_a_face_that_moves_and_changes_its_size_is_tracked_between_detections(growth: float) -> None:
    """5 detections per second of a face that approaches or leaves at walking pace: 22 % in 0.2 s."""
    tracker = FaceTracker()
    for frame in range(19):
        side = 70 * growth ** (frame / 6)
        box = (60 + 4 * frame - side / 2 + 35, 120 - side / 2, side, side)
        image = scene((3, box), noise=frame)
        if frame % 6 == 0:
            tracks = tracker.update(image, seen(box), frame / FPS)
        else:
            tracks = tracker.predict(image, frame / FPS)
        assert ids(tracks) == [0]
        assert iou(tracks[0].box, box) > 0.7, f"frame {frame}"


@pytest.mark.parametrize("every", [1, 6])
def test_two_faces_that_cross_keep_their_numbers(every: int) -> None:
    """The face behind is hidden for some frames; the detector finds only visible faces."""
    tracker = FaceTracker()
    for frame in range(61):
        back, front = (20 + 4.0 * frame, 90.0, 56.0, 56.0), (244 - 4.0 * frame, 84.0, 64.0, 64.0)
        image = scene((5, back), (6, front), noise=frame)
        boxes = [back, front] if iou(back, front) < 0.15 else [front]
        t = frame / FPS
        tracks = tracker.update(image, seen(*boxes), t) if frame % every == 0 else tracker.predict(image, t)
        if frame in (0, 60):
            where = {track.track_id: iou(track.box, back) > 0.5 for track in tracks}
            assert where == {0: True, 1: False}, f"frame {frame}"


def test_a_face_that_comes_back_soon_has_its_old_number() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker()
    for frame in range(30):
        tracker.update(scene((1, box), noise=frame), seen(box), frame / FPS)
    assert tracker.update(scene((2, box)), [], 1.0) == []
    moved = (130.0, 85.0, 60.0, 60.0)
    assert ids(tracker.update(scene((1, moved)), seen(moved), 1.5)) == [0]
    assert tracker.update(scene(), [], 1.6) == []
    assert ids(tracker.update(scene((1, moved)), seen(moved), 1.7 + REMEMBER_S)) == [1], "too long ago"


def test_another_face_in_the_same_place_gets_a_new_number() -> None:
    box, tracker = (100.0, 80.0, 60.0, 60.0), FaceTracker()
    tracker.update(scene((1, box)), seen(box), 0.0)
    tracker.update(scene(), [], 0.1)
    assert ids(tracker.update(scene((2, box)), seen(box), 0.5)) == [1]


@pytest.mark.parametrize("box", [(-25.0, 80.0, 60.0, 60.0), (285.0, 205.0, 60.0, 60.0), (-5.0, -5.0, 330.0, 330.0)])
def test_a_face_at_the_edge_is_tracked(box: Box) -> None:
    tracker = FaceTracker()
    for frame in range(30):
        image = scene((4, box), noise=frame)
        tracks = tracker.update(image, seen(box), frame / FPS) if frame < 15 else tracker.predict(image, 1.0)
    assert ids(tracks) == [0]
    assert iou(tracks[0].box, box) > 0.8


def test_a_face_that_walks_out_of_the_image_is_dropped() -> None:
    tracker = FaceTracker()
    for frame in range(40):
        box = (240.0 + 4 * frame, 90.0, 60.0, 60.0)
        image = scene((4, box), noise=frame)
        tracks = tracker.update(image, seen(box) if frame < 10 else [], frame / FPS)
    assert tracks == []


def test_a_flat_patch_stays_in_place_and_is_soon_dropped() -> None:
    """An overexposed face has no structure to locate."""
    flat, box, tracker = np.full((240, 320), 255, np.uint8), (100.0, 80.0, 60.0, 60.0), FaceTracker()
    for frame in range(15):
        tracker.update(flat, seen(box), frame / FPS)
    assert [track.box for track in tracker.predict(flat, 0.5)] == [box]
    assert tracker.update(flat, [], 1.0) != []
    assert tracker.update(flat, [], 1.1 + HOLD_S) == []


def test_separate_images_share_no_faces_and_no_numbers() -> None:
    box, tracker, numbers = (100.0, 80.0, 60.0, 60.0), FaceTracker(), []
    for number in range(3):
        tracker.reset()
        numbers += ids(tracker.update(scene((1, box)), seen(box), float(number)))
    assert numbers == [0, 1, 2]
