import pytest

from fer_edge.tracking import FORGET_AFTER_S, Tracker, iou


def test_overlap_of_boxes() -> None:
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 0, 10, 10)) == 0
    assert iou((0, 0, 0, 0), (0, 0, 10, 10)) == 0


def test_a_face_that_moves_keeps_its_number() -> None:
    tracker = Tracker()
    assert {tracker.update([(2.0 * step, 0, 40, 40)], step / 30)[0] for step in range(50)} == {0}
    assert tracker.count == 1


def test_faces_keep_their_numbers_when_their_order_changes() -> None:
    tracker = Tracker()
    a, b = (0, 0, 40, 40), (100, 0, 40, 40)
    assert tracker.update([a, b], 0.0) == [0, 1]
    assert tracker.update([b, a], 0.1) == [1, 0]


def test_a_face_is_not_robbed_by_its_neighbour() -> None:
    tracker = Tracker()
    tracker.update([(0, 0, 40, 40)], 0.0)
    # The first box overlaps the known face, the second does more.
    assert tracker.update([(15, 0, 40, 40), (1, 0, 40, 40)], 0.1) == [1, 0]


def test_a_face_missed_for_a_moment_keeps_its_number() -> None:
    tracker = Tracker()
    tracker.update([(0, 0, 40, 40)], 0.0)
    assert tracker.update([], 0.5) == []
    assert tracker.update([(0, 0, 40, 40)], FORGET_AFTER_S) == [0]


def test_a_face_that_was_away_gets_a_new_number() -> None:
    tracker = Tracker()
    tracker.update([(0, 0, 40, 40)], 0.0)
    assert tracker.update([(0, 0, 40, 40)], FORGET_AFTER_S + 0.1) == [1]
    assert tracker.live_ids() == {1}


def test_forgotten_faces_take_no_memory() -> None:
    tracker = Tracker()
    for step in range(200):
        tracker.update([(100.0 * step, 0, 40, 40)], 2.0 * step)
    assert len(tracker.live_ids()) == 1
    assert tracker.count == 200
