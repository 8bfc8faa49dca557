"""Which faces are classified when, how labels are smoothed, and what is shown."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.framing import Framing, Square
from fer_edge.tracking.labels import EmotionLabeler
from fer_edge.tracking.smoothing import MAX_LEAD, LabelSmoother, sure_again
from fer_edge.tracking.tracker import Track

LABELS = ("calm", "glad", "cross")
IMAGE = np.zeros((100, 100), np.uint8)
TEMPLATE = np.zeros((32, 32), np.uint8)


class FakeClassifier:
    """A classifier that returns `answer` for every face, and records the squares of each call."""

    labels = LABELS
    min_confidence = 0.0

    def __init__(self) -> None:
        self.answer = [0.8, 0.1, 0.1]
        self.calls: list[list[Square]] = []

    def classify(self, _image: object, squares: Sequence[Square]) -> np.ndarray:
        if squares:
            self.calls.append(list(squares))
        return np.tile(np.float32(self.answer), (len(squares), 1))


def track(number: int = 0, side: float = 20.0) -> Track:
    return Track(number, (10.0 + number, 10.0, side, side), 0.9, 0.0, TEMPLATE)


@pytest.fixture
def fake() -> FakeClassifier:
    return FakeClassifier()


def labeler(fake: FakeClassifier, interval_s: float = 0.1, smooth_s: float = 0.0) -> EmotionLabeler:
    return EmotionLabeler(fake, Framing(of_width=1.0), interval_s, smooth_s)  # type: ignore[arg-type]


def test_all_due_faces_are_classified_in_one_batch(fake: FakeClassifier) -> None:
    ours = labeler(fake)
    labeled = [
        ours.label(IMAGE, [track(0)], 0.0, 0.0),
        ours.label(IMAGE, [track(0), track(1), track(2)], 0.05, 0.05),  # two are new, one is fresh
        ours.label(IMAGE, [track(0), track(1), track(2)], 0.11, 0.11),  # one has grown old
    ]
    assert [len(call) for call in fake.calls] == [1, 2, 1]
    assert [result.classified for result in labeled] == [1, 2, 1]


def test_a_face_is_classified_again_when_its_label_is_old_and_not_earlier(fake: FakeClassifier) -> None:
    ours = labeler(fake)
    for frame in range(31):
        ours.label(IMAGE, [track()], frame / 30, frame / 30)
    assert len(fake.calls) == 11  # at 0, 0.1, … 1.0 s


def test_with_an_interval_of_0_every_face_is_classified_in_every_frame(fake: FakeClassifier) -> None:
    ours = labeler(fake, 0.0)
    for _frame in range(5):
        ours.label(IMAGE, [track()], 1.0, 1.0)  # even if the source's clock stands still
    assert len(fake.calls) == 5


@pytest.mark.parametrize(("side", "again"), [(21.0, False), (25.0, True), (16.0, True)])
def test_a_face_that_changes_its_size_is_classified_at_once(fake: FakeClassifier, side: float, again: bool) -> None:
    ours = labeler(fake, 10.0)
    ours.label(IMAGE, [track()], 0.0, 0.0)
    ours.label(IMAGE, [track(side=side)], 0.03, 0.03)
    assert len(fake.calls) == 1 + again


def test_a_clock_that_goes_back_does_not_stop_classification(fake: FakeClassifier) -> None:
    ours = labeler(fake)
    ours.label(IMAGE, [track()], 100.0, 0.0)
    ours.label(IMAGE, [track()], 2.0, 0.03)
    assert len(fake.calls) == 2


def test_the_age_counts_from_the_classified_frame(fake: FakeClassifier) -> None:
    ours = labeler(fake)
    assert ours.label(IMAGE, [track()], 0.0, 50.0).faces[0].age_ms == 0
    assert ours.label(IMAGE, [track()], 0.06, 50.06).faces[0].age_ms == pytest.approx(60)
    assert ours.label(IMAGE, [track()], 0.12, 50.12).faces[0].age_ms == 0


def test_a_face_that_comes_back_with_its_number_is_classified_again(fake: FakeClassifier) -> None:
    ours = labeler(fake, 10.0)
    ours.label(IMAGE, [track()], 0.0, 0.0)
    assert ours.label(IMAGE, [], 0.03, 0.03) == ((), 0, 0)
    assert ours.label(IMAGE, [track()], 0.06, 0.06).changes == 0
    assert len(fake.calls) == 2


def test_emotion_and_confidence_belong_to_the_shown_label_and_its_changes_are_counted(fake: FakeClassifier) -> None:
    ours = labeler(fake, 0.0, smooth_s=0.3)
    ours.label(IMAGE, [track()], 0.0, 0.0)
    fake.answer = [0.1, 0.8, 0.1]
    labeled = [ours.label(IMAGE, [track()], frame / 30, frame / 30) for frame in range(1, 31)]
    shown = [result.faces[0] for result in labeled]
    assert shown[0].emotion == "calm", "one frame changes nothing"
    assert shown[-1].emotion == "glad", "a second does"
    assert sum(result.changes for result in labeled) == 1
    behind = [face for face in shown if face.emotion != max(face.probabilities, key=face.probabilities.__getitem__)]
    assert behind, "hysteresis holds the label for a moment after another has come to lead"
    for face in shown:
        assert face.confidence == face.probabilities[face.emotion]


def test_a_label_between_two_emotions_flickers_only_without_smoothing(fake: FakeClassifier) -> None:
    rough, smooth = labeler(fake, 0.0, 0.0), labeler(fake, 0.0, 0.3)
    changes = {rough: 0, smooth: 0}
    for frame in range(90):
        fake.answer = [0.45, 0.5, 0.05] if frame % 2 else [0.5, 0.45, 0.05]
        for ours in (rough, smooth):
            changes[ours] += ours.label(IMAGE, [track()], frame / 30, frame / 30).changes
    assert changes == {rough: 89, smooth: 0}


def changes_after(smoother: LabelSmoother, rows: Sequence[tuple[float, float, float]], fps: float = 30) -> list[float]:
    """The times in seconds at which the label changes if `rows` follow a face that was surely calm."""
    before, found = smoother.update(0, np.float64([1, 0, 0]), 0.0).label, []
    for number, row in enumerate(rows, 1):
        label = smoother.update(0, np.float64(row), number / fps).label
        found += [number / fps] * (label != before)
        before = label
    return found


def test_a_clear_change_is_shown_soon_and_a_weak_one_later() -> None:
    clear, weak = [(0.05, 0.9, 0.05)] * 90, [(0.3, 0.65, 0.05)] * 90
    (soon,), (later,) = (changes_after(LabelSmoother(0.3), rows) for rows in (clear, weak))
    assert 0.2 <= soon <= 0.27 and 0.6 < later < 1
    (slower,) = changes_after(LabelSmoother(0.6), clear)
    assert slower == pytest.approx(2 * soon, abs=0.05), "what must add up grows with the time constant"


def test_a_lead_that_comes_and_goes_is_not_shown() -> None:
    waver = ([(0.35, 0.6, 0.05)] * 8 + [(0.6, 0.35, 0.05)] * 8) * 10
    assert changes_after(LabelSmoother(0.3), waver) == []
    assert len(changes_after(LabelSmoother(0.3, evidence=0.0), waver)) > 2


def test_a_lead_within_the_margin_never_adds_up() -> None:
    assert changes_after(LabelSmoother(0.3), [(0.43, 0.57, 0.0)] * 600) == []
    assert len(changes_after(LabelSmoother(0.3), [(0.4, 0.6, 0.0)] * 600)) == 1


def test_one_frame_of_a_slow_stream_is_not_enough() -> None:
    assert changes_after(LabelSmoother(0.3), [(0.05, 0.9, 0.05), (0.9, 0.05, 0.05)], fps=5) == []


def test_smoothing_forgets_a_face_that_is_gone() -> None:
    smoother = LabelSmoother(10.0)
    smoother.update(0, np.float32([1, 0, 0]), 0.0)
    smoother.keep([])
    assert smoother.update(0, np.float32([0, 1, 0]), 0.1).label == 1


def test_a_step_reaches_63_percent_after_the_time_constant() -> None:
    smoother = LabelSmoother(0.5)
    smoother.update(0, np.float32([1, 0, 0]), 0.0)
    for frame in range(1, 16):
        probabilities = smoother.update(0, np.float32([0, 1, 0]), frame / 30).probabilities
    assert probabilities[1] == pytest.approx(1 - np.exp(-1), abs=1e-6)


rows = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3).filter(lambda row: sum(row) > 0.1)


@given(st.lists(st.tuples(st.integers(0, 2), rows, st.floats(-1, 2)), min_size=1), st.sampled_from([0.0, 0.05, 0.3, 5]))
def test_smoothed_probabilities_sum_to_1_and_the_shown_label_is_near_the_best(updates, time_constant_s: float) -> None:
    smoother, t = LabelSmoother(time_constant_s), 0.0
    for number, row, step in updates:
        t += step
        given_row = np.float64(row) / sum(row)
        probabilities, label, unsure = smoother.update(number, given_row, t)
        assert probabilities.sum() == pytest.approx(1, abs=1e-6)
        assert (probabilities >= 0).all() and (probabilities <= 1 + 1e-9).all()
        assert probabilities[label] >= probabilities.max() - MAX_LEAD - 1e-9
        assert not unsure, "without a threshold nothing is unsure"
        if time_constant_s == 0:
            assert label == int(np.argmax(given_row))


@given(st.lists(rows, min_size=1), st.sampled_from([0.0, 0.3]), st.floats(0, 0.99))
def test_a_label_below_the_threshold_is_always_unsure(given_rows, time_constant_s: float, threshold: float) -> None:
    smoother = LabelSmoother(time_constant_s, threshold)
    for index, row in enumerate(given_rows):
        probabilities, label, unsure = smoother.update(0, np.float64(row) / sum(row), index / 30)
        if probabilities[label] < threshold:
            assert unsure
        elif time_constant_s == 0 or probabilities[label] >= sure_again(threshold):
            assert not unsure


def test_an_unsure_face_is_sure_again_only_well_above_the_threshold() -> None:
    smoother = LabelSmoother(1e-3, 0.5)  # hardly any smoothing
    confidences = [0.6, 0.49, 0.52, 0.49, 0.52, 0.56, 0.51]
    unsure = [smoother.update(0, np.float64([p, 1 - p]), float(t)).unsure for t, p in enumerate(confidences)]
    assert unsure == [False, True, True, True, True, False, False]


def test_a_faces_own_threshold_comes_from_the_contract_unless_given(fake: FakeClassifier) -> None:
    fake.answer, fake.min_confidence = [0.4, 0.35, 0.25], 0.5
    framing = Framing(of_width=1.0)
    for given_threshold, expected in ((None, True), (0.3, False), (0.0, False), (0.41, True)):
        ours = EmotionLabeler(fake, framing, 0.0, 0.0, given_threshold)  # type: ignore[arg-type]
        (face,) = ours.label(IMAGE, [track()], 0.0, 0.0).faces
        assert (face.unsure, face.emotion) == (expected, "calm")
