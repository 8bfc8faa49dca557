import os

import pytest

from fer_edge.results import Face, FrameResult
from fer_edge.sentences import counted, duration, emotions_of, image_line, source_line, summary_lines
from fer_edge.summary import RunSummary


def face(emotion: str, confidence: float = 0.8, x: float = 0.0, track_id: int = 0, unsure: bool = False) -> Face:
    return Face((x, 0, 9, 9), 0.9, emotion, confidence, {emotion: confidence}, track_id, unsure=unsure)


def line_of(*faces: Face, file: str | None = "photo.jpg") -> str:
    return image_line(FrameResult(0, 0.0, True, faces, file))


def test_an_image_is_one_sentence_with_its_faces_from_left_to_right() -> None:
    assert line_of(face("neutral", 0.61, x=50), face("happy", 0.87)) == "photo.jpg: 2 faces: happy 87 %, neutral 61 %"
    assert line_of(face("happy", 0.87)) == "photo.jpg: 1 face: happy 87 %"
    assert line_of() == "photo.jpg: no face found"


def test_an_unsure_face_names_its_guess_in_brackets() -> None:
    faces = face("angry", 0.34, unsure=True), face("happy", 0.9, x=40)
    assert line_of(*faces) == "photo.jpg: 2 faces: unsure (angry 34 %), happy 90 %"


def test_the_faces_of_a_crowd_are_counted() -> None:
    crowd = [face("happy")] * 12 + [face("neutral")] * 30 + [face("sad", unsure=True)] * 4
    assert line_of(*crowd) == "photo.jpg: 46 faces: 30 neutral, 12 happy, 4 unsure"


@pytest.mark.parametrize("name", ["two\nlines.jpg", "\x1b[2Jclear.jpg", os.fsdecode(b"gr\xfc\xdfe.jpg")])
def test_a_strange_file_name_stays_on_its_line_and_leaves_the_terminal_alone(name: str) -> None:
    line = line_of(face("happy"), file=name)
    assert line.isprintable()
    assert line.endswith(".jpg: 1 face: happy 80 %")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"), (59.94, "59.9 s"), (59.99, "1 min 0 s"), (3599.7, "1 h 0 min"), (86399.9, "1 d 0 h"),
        (90 * 86400.0, "90 d 0 h"),
    ],
)  # fmt: skip
def test_durations_have_the_units_a_person_would_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_count_of_one_is_singular_and_others_are_plural() -> None:
    assert [counted(count, "frame") for count in (0, 1, 2, 12345)] == [
        "0 frames",
        "1 frame",
        "2 frames",
        "12,345 frames",
    ]


def summary(*results: tuple[float, list[Face]], still: bool = False) -> dict[str, object]:
    made = RunSummary(("happy", "sad", "fear"), still)
    for index, (t, faces) in enumerate(results):
        made.add(FrameResult(index, t, True, tuple(faces)))
    return made.to_dict()


def test_the_end_of_a_run_lists_the_emotions_by_their_share_and_unsure_last() -> None:
    made = summary(
        (0.0, [face("sad", track_id=1), face("happy", track_id=2)]), (0.5, [face("sad", track_id=1)]),
        (1.0, [face("fear", track_id=1, unsure=True)]), (1.5, []),
    )  # fmt: skip
    assert summary_lines(made, blocks=True) == [
        "2 faces, at most 2 at once; 1 of 4 frames without a face",
        "sad        1.0 s   50 %  ████████████▌",
        "happy      0.5 s   25 %  ██████▎",
        "unsure     0.5 s   25 %  ██████▎",
    ]
    assert summary_lines(made, blocks=False)[1] == "sad        1.0 s   50 %  ############"


def test_images_have_no_seconds_in_the_table() -> None:
    made = summary((0.0, [face("happy")] * 3 + [face("sad")]), still=True)
    assert summary_lines(made, blocks=False) == [
        "4 faces, at most 4 at once",
        "happy       75 %  ###################",
        "sad         25 %  ######",
    ]


def test_no_share_is_rounded_to_all_or_nothing() -> None:
    made = summary((0.0, [face("happy")] * 399 + [face("sad")]), still=True)
    assert [line[9:17].strip() for line in summary_lines(made, blocks=True)[1:]] == [">99 %", "<1 %"]


def test_a_run_without_a_face_says_so() -> None:
    assert summary_lines(summary((0.0, [])), blocks=True) == ["no face in 1 frame"]
    assert summary_lines(summary((0.0, []), (0.0, []), still=True), True, "image") == ["no face in 2 images"]
    assert summary_lines(summary(), blocks=True) == ["no frame"]


def test_a_video_of_several_is_one_sentence_with_its_most_frequent_emotions() -> None:
    faces = [face("happy"), face("happy"), face("sad", track_id=1), face("sad", unsure=True)]
    made = summary(*((index / 2, [each]) for index, each in enumerate(faces)))
    assert source_line("a\nb.mp4", made) == "a\\nb.mp4: 2 faces: 50 % happy, 25 % sad, 25 % unsure"
    assert source_line("clip.mp4", summary((0.0, []))) == "clip.mp4: no face found"
    assert source_line("demo:", summary((0.0, []))) == "demo: no face found"


def test_faces_of_a_narrow_image_are_named_in_their_order() -> None:
    assert emotions_of([face("happy", 0.999), face("sad", 0.004)]) == "happy 100 %, sad 0 %"
