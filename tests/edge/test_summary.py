import json
import math
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge import summary as summary_module
from fer_edge.results import Face, FrameResult
from fer_edge.summary import RunSummary, total_summary


def face(emotion: str = "happy", track_id: int | None = 0, unsure: bool = False) -> Face:
    return Face((0, 0, 9, 9), 0.9, emotion, 0.8, {emotion: 0.8}, track_id, unsure=unsure)


def summed(*results: tuple[float, list[Face]], still: bool = False) -> dict[str, object]:
    """The summary of results given by their times and faces."""
    made = RunSummary(("happy", "sad"), still)
    for index, (t, faces) in enumerate(results):
        made.add(FrameResult(index, t, True, tuple(faces)))
    return made.to_dict()


def test_seconds_and_shares_agree_with_a_calculation_by_hand() -> None:
    made = summed(
        (0.0, [face("happy")]),  # lasts 0.5 s
        (0.5, [face("happy"), face("sad", 1)]),  # 0.25 s each
        (0.75, []),
        (1.25, [face("sad"), face("sad", 1, unsure=True)]),  # as long as the gap before: 0.5 s each
    )
    assert made["emotions"] == {
        "happy": {"rows": 2, "share": 0.4, "seconds": 0.75},
        "sad": {"rows": 2, "share": 0.4, "seconds": 0.75},
    }
    assert made["unsure"] == {"rows": 1, "share": 0.2, "seconds": 0.5}
    assert (made["rows"], made["seconds"]) == (5, 2.0)
    assert (made["frames"], made["frames_with_faces"], made["faces"], made["most_faces"]) == (4, 3, 2, 2)


def test_a_result_counts_for_one_second_at_most() -> None:
    made = summed((0.0, [face("happy")]), (3600.0, [face("sad")]))
    assert [figures["seconds"] for figures in made["emotions"].values()] == [1, 1]


def test_a_time_that_runs_backwards_counts_for_nothing() -> None:
    made = summed((5.0, [face("happy")]), (1.0, [face("happy")]), (1.5, [face("happy")]))
    assert made["emotions"]["happy"]["seconds"] == 1.0  # 0 + 0.5 + 0.5


def test_a_single_result_has_no_known_duration() -> None:
    assert summed((2.0, [face("happy")]))["emotions"]["happy"] == {"rows": 1, "share": 1.0, "seconds": 0.0}


def test_images_have_shares_but_no_seconds_and_no_tracks() -> None:
    made = summed((0.0, [face("happy"), face("sad", 1)]), (0.0, [face("happy")]), still=True)
    assert made["emotions"]["happy"] == {"rows": 2, "share": 0.666667, "seconds": None}
    assert (made["seconds"], made["faces"], made["most_faces"]) == (None, 3, 2)
    assert (made["tracks"], made["tracks_left_out"]) == ([], 0)


def test_a_run_without_results_or_faces_has_a_summary_too() -> None:
    for made in (summed(), summed((0.0, []), (1.0, []))):
        assert made["emotions"]["happy"] == {"rows": 0, "share": 0.0, "seconds": 0.0}
        assert (made["rows"], made["seconds"], made["faces"]) == (0, 0.0, 0)


def test_a_label_named_unsure_stays_apart_from_unsure_faces() -> None:
    made = summed((0.0, [face("unsure"), face("happy", 1, unsure=True)]))
    assert (made["emotions"]["unsure"]["rows"], made["unsure"]["rows"]) == (1, 1)


def test_a_face_is_listed_with_its_first_and_last_appearance() -> None:
    made = RunSummary()
    for index, t in enumerate((0.0, 0.5, 8.0)):
        faces = (face(track_id=3),) if t else (face(track_id=3), face("sad", 1))
        made.add(FrameResult(index, t, True, faces, time=f"2026-05-01T12:00:0{t}00Z"))
    assert made.to_dict()["tracks"] == [
        {
            "id": 1, "rows": 1, "first_t": 0.0, "last_t": 0.0,
            "first_time": "2026-05-01T12:00:00.000Z", "last_time": "2026-05-01T12:00:00.000Z",
        },
        {
            "id": 3, "rows": 3, "first_t": 0.0, "last_t": 8.0,
            "first_time": "2026-05-01T12:00:00.000Z", "last_time": "2026-05-01T12:00:08.000Z",
        },
    ]  # fmt: skip


def test_files_without_a_start_time_have_no_times_of_day() -> None:
    assert summed((0.25, [face()]))["tracks"] == [{"id": 0, "rows": 1, "first_t": 0.25, "last_t": 0.25}]


def test_the_list_of_faces_is_bounded_and_says_how_many_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_module, "MAX_TRACKS", 10)
    made = RunSummary()
    for index in range(100):
        made.add(FrameResult(index, index / 30, True, (face(track_id=index), face("sad", -1))))
    summary = made.to_dict()
    assert summary["faces"] == 101
    assert [track["id"] for track in summary["tracks"]] == [-1, *range(91, 100)]  # those seen last
    assert summary["tracks"][0]["rows"] == 100
    assert summary["tracks_left_out"] == 91


def test_a_summary_is_json_and_can_be_read_while_results_come() -> None:
    made, done = RunSummary(), threading.Event()

    def read() -> None:
        while not done.is_set():
            json.dumps(made.to_dict(), allow_nan=False)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for index in range(2000):
            made.add(FrameResult(index, index / 30, True, (face(f"label {index % 50}", index % 40),)))
    finally:
        done.set()
        reader.join()
    assert made.to_dict()["rows"] == 2000
    assert made.t == 1999 / 30
    assert [each.track_id for each in made.now] == [39]


def test_summaries_of_several_sources_add_up() -> None:
    first = summed((0.0, [face("happy")]), (0.5, [face("happy"), face("sad", 1, unsure=True)]))
    second = summed((0.0, [face("sad"), face("sad", 1), face("sad", 2)]), still=True)
    total = total_summary([first, second])
    assert total["emotions"] == {
        "happy": {"rows": 2, "share": 0.333333, "seconds": 1.0},
        "sad": {"rows": 3, "share": 0.5, "seconds": 0.0},
    }
    assert total["unsure"] == {"rows": 1, "share": 0.166667, "seconds": 0.5}
    assert (total["faces"], total["most_faces"], total["rows"], total["seconds"]) == (5, 3, 6, 1.5)
    assert "tracks" not in total
    assert total_summary([second])["seconds"] is None
    assert total_summary([])["rows"] == 0


faces_of_a_frame = st.lists(st.tuples(st.sampled_from(["happy", "sad", "fear"]), st.booleans()), max_size=4)
frames = st.lists(st.tuples(st.floats(0, 5, allow_nan=False), faces_of_a_frame), min_size=1, max_size=30)


@given(frames=frames)
def test_shares_sum_to_one_and_seconds_stay_within_the_run_time_of_every_face(
    frames: list[tuple[float, list[tuple[str, bool]]]],
) -> None:
    made, t = RunSummary(), 0.0
    for index, (gap_s, faces) in enumerate(frames):
        t += gap_s if index else 0.0
        shown = tuple(replace(face(emotion, track), unsure=unsure) for track, (emotion, unsure) in enumerate(faces))
        made.add(FrameResult(index, t, True, shown))
    summary = made.to_dict()
    classes = [*summary["emotions"].values(), summary["unsure"]]
    rows = sum(len(faces) for _, faces in frames)
    assert sum(each["rows"] for each in classes) == summary["rows"] == rows
    assert sum(each["share"] for each in classes) == pytest.approx(1 if rows else 0, abs=1e-5)
    run_time_s = t + min(frames[-1][0] if len(frames) > 1 else 0.0, 1.0)  # the last result lasts, too
    assert summary["seconds"] <= run_time_s * summary["most_faces"] + 1e-2
    assert sum(each["seconds"] for each in classes) == pytest.approx(summary["seconds"], abs=1e-2)
    assert all(math.isfinite(each["seconds"]) for each in classes)
