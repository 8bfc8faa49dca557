"""Label changes: which face came, changed or left, and when."""

from dataclasses import replace

from fer_edge.results import Face, FrameResult
from fer_edge.serve.changes import APPEARED, CHANGED, LEFT, ChangeDetector


def result(t: float, *faces: tuple[int | None, str, bool]) -> FrameResult:
    rows = tuple(
        Face((0, 0, 9, 9), 0.9, label, 0.7, {label: 0.7}, track_id=number, unsure=unsure)
        for number, label, unsure in faces
    )
    return FrameResult(round(10 * t), t, True, rows)


def kinds(detector: ChangeDetector, seen: FrameResult) -> list[tuple[str, int, str | None, str]]:
    return [(change.kind, change.id, change.before, change.emotion) for change in detector.update(seen)]


def test_a_face_appears_changes_and_leaves_once() -> None:
    detector = ChangeDetector()
    assert kinds(detector, result(0.0, (7, "happy", False))) == [(APPEARED, 7, None, "happy")]
    assert kinds(detector, result(0.1, (7, "happy", False))) == []
    assert kinds(detector, result(0.2, (7, "sad", False))) == [(CHANGED, 7, "happy", "sad")]
    assert kinds(detector, result(0.9)) == [], "it may only be missed"
    assert kinds(detector, result(1.2)) == [(LEFT, 7, "sad", "sad")]
    assert kinds(detector, result(9.0)) == []


def test_unsure_is_a_label_of_its_own() -> None:
    detector = ChangeDetector()
    detector.update(result(0.0, (1, "sad", False)))
    assert kinds(detector, result(0.1, (1, "sad", True))) == [(CHANGED, 1, "sad", "unsure")]
    assert kinds(detector, result(0.2, (1, "fear", True))) == [], "what it is unsure about is no change"


def test_a_missed_face_does_not_appear_again() -> None:
    detector = ChangeDetector()
    detector.update(result(0.0, (1, "sad", False)))
    detector.update(result(0.5))
    assert kinds(detector, result(0.8, (1, "sad", False))) == []


def test_a_new_source_ends_the_faces_of_the_one_before() -> None:
    detector = ChangeDetector()
    detector.update(result(60.0, (1, "sad", False)))
    assert kinds(detector, result(0.0, (2, "happy", False))) == [(LEFT, 1, "sad", "sad"), (APPEARED, 2, None, "happy")]


def test_the_same_number_in_another_source_is_another_face() -> None:
    detector = ChangeDetector()
    detector.update(result(0.0, (0, "sad", False)))
    assert kinds(detector, result(0.0, (0, "happy", False))) == [(LEFT, 0, "sad", "sad"), (APPEARED, 0, None, "happy")]
    assert kinds(detector, replace(result(0.5, (0, "sad", False)), file="b.jpg")) == [
        (LEFT, 0, "happy", "happy"),
        (APPEARED, 0, None, "sad"),
    ]


def test_faces_without_an_id_are_ignored() -> None:
    assert kinds(ChangeDetector(), result(0.0, (None, "happy", False))) == []


def test_a_change_names_its_file_and_time_if_there_are_any() -> None:
    detector = ChangeDetector()
    (plain,) = detector.update(result(0.0, (1, "sad", False)))
    assert set(plain.to_dict()) == {"change", "id", "emotion", "before", "confidence", "t"}
    left, came = detector.update(replace(result(0.0, (1, "sad", False)), file="b.mp4", time="2026-05-01T12:00:00.000Z"))
    assert "file" not in left.to_dict(), "it belongs to the source before"
    assert (came.to_dict()["file"], came.to_dict()["time"]) == ("b.mp4", "2026-05-01T12:00:00.000Z")
