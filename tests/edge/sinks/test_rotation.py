"""Rotation of the outputs of long runs: by size and age, deleting the oldest pieces, overwriting none."""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.errors import OutputError
from fer_edge.pipeline.pipeline import Frame
from fer_edge.results import FrameResult
from fer_edge.sinks import Published, Sink
from fer_edge.sinks import text as text_sinks
from fer_edge.sinks.rotation import Rotation, numbered_pieces, record_of
from fer_edge.sinks.text import CsvSink, JsonSink
from fer_edge.sinks.video import VideoSink

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(text_sinks, "time", made)
    monkeypatch.setattr("fer_edge.sinks.video.time", made)
    return made


def feed(sink: Sink, results: list[FrameResult], flush_each: int = 7) -> None:
    for count, result in enumerate(results, 1):
        sink.write(Published(result, None))
        if count % flush_each == 0:
            sink.flush()
    sink.close()


def pieces(path: Path) -> list[Path]:
    """All pieces, oldest first, the newest last."""
    numbered = numbered_pieces(path)
    return [*(numbered[number] for number in sorted(numbered)), path]


def lines_in(files: list[Path]) -> list[dict[str, object]]:
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_no_piece_exceeds_the_size_and_no_line_is_lost_or_cut(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonSink(str(path), Rotation(max_bytes=1000, keep=100))
    feed(sink, [make_result(index, faces=index % 3) for index in range(60)])
    files = pieces(path)
    assert len(files) > 10
    assert all(file.stat().st_size <= 1000 for file in files)
    assert [line["frame"] for line in lines_in(files)] == list(range(60))
    assert sink.written == 60


def test_a_result_larger_than_a_piece_gets_its_own_piece(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    path = tmp_path / "out.jsonl"
    feed(JsonSink(str(path), Rotation(max_bytes=10)), [make_result(index) for index in range(4)])
    assert [len(lines_in([file])) for file in pieces(path)] == [1, 1, 1, 1]


def test_every_piece_of_a_csv_begins_with_the_columns(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    path = tmp_path / "out.csv"
    feed(CsvSink(str(path), LABELS, Rotation(max_bytes=600)), [make_result(index, faces=2) for index in range(9)])
    tables = [list(csv.reader(file.read_text().splitlines())) for file in pieces(path)]
    assert len(tables) > 2
    assert all(table[0][:2] == ["frame", "t"] for table in tables)
    assert [row[0] for table in tables for row in table[1:]] == [str(index) for index in range(9) for _ in range(2)]


def test_the_oldest_pieces_are_deleted_and_numbers_increase(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    path, other = tmp_path / "out.jsonl", tmp_path / "out-backup.jsonl"
    other.write_text("mine")
    (tmp_path / "out-000001.csv").write_text("another output's")
    for _ in range(2):  # the second run appends to the first one's file, or rotates it
        feed(JsonSink(str(path), Rotation(max_bytes=10, keep=3)), [make_result(index) for index in range(5)])
    assert [file.name for file in pieces(path)] == [
        "out-000007.jsonl", "out-000008.jsonl", "out-000009.jsonl", "out.jsonl"
    ]  # fmt: skip
    assert [line["frame"] for line in lines_in(pieces(path))] == [1, 2, 3, 4]
    assert other.read_text() == "mine"
    assert (tmp_path / "out-000001.csv").exists()


def test_a_piece_bounded_by_time_ends_with_the_next_result(
    tmp_path: Path, make_result: Callable[..., FrameResult], clock: Clock
) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonSink(str(path), Rotation(max_s=3600))
    for index, at in enumerate([0, 1800, 3599, 3600, 3700, 20_000, 20_001]):
        clock.now = 1000.0 + at
        sink.write(Published(make_result(index), None))
        sink.flush()
        sink.flush()  # time alone starts no piece
    sink.close()
    assert [[line["frame"] for line in lines_in([file])] for file in pieces(path)] == [[0, 1, 2], [3, 4], [5, 6]]


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 3000), st.integers(1, 9), st.integers(1, 4))
def test_the_newest_results_are_kept_whatever_the_sizes(
    tmp_path_factory: pytest.TempPathFactory, faces: list[int], max_bytes: int, flush_each: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("random") / "out.jsonl"
    results = [FrameResult(index, 0.0, True, (), "f" * 100 * count) for index, count in enumerate(faces)]
    feed(JsonSink(str(path), Rotation(max_bytes, keep=keep)), results, flush_each)
    files = pieces(path)
    assert sum(file.stat().st_size for file in files[:-1]) <= keep * max_bytes or len(files) <= keep + 1
    kept = [line["frame"] for line in lines_in(files)]
    assert kept == list(range(len(results)))[len(results) - len(kept) :]
    assert all(len(lines_in([file])) == 1 or file.stat().st_size <= max_bytes for file in files if results)
    if len(files) <= keep:
        assert len(kept) == len(results)


@pytest.mark.usefixtures("video_encoder")
def test_a_video_is_split_into_playable_pieces(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, 25.0, gaps=False, rotation=Rotation(max_s=3600))
    for index in range(10):
        image = np.full((48, 64, 3), 20 * index, dtype=np.uint8)
        sink.write(Published(FrameResult(index, index / 25, True), Frame(index, index / 25, 0.0, image)))
        clock.now += 1000
    sink.close()
    values = []
    for file in pieces(path):
        video = cv2.VideoCapture(str(file))
        values.append([round(float(frame.mean()) / 20) for ok, frame in iter(video.read, (False, None)) if ok])
    assert values == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert sink.written == 10
    assert list(tmp_path.glob(".*")) == [record_of(path)]


@pytest.mark.usefixtures("video_encoder")
def test_the_pieces_of_a_live_video_play_in_real_time_and_a_long_gap_is_shortened(tmp_path: Path, clock: Clock) -> None:
    path, image = tmp_path / "out.mp4", np.zeros((48, 64, 3), dtype=np.uint8)
    sink = VideoSink(path, 10.0, gaps=True, rotation=Rotation(max_s=3600))
    for t, now in [(0, 0), (1, 0), (2, 0), (5000, 0), (5001, 0), (9000, 3600), (9001, 3600)]:
        clock.now = 1000.0 + now
        sink.write(Published(FrameResult(0, t, True), Frame(0, t, 0.0, image)))
    sink.close()
    first, second = (int(cv2.VideoCapture(str(file)).get(cv2.CAP_PROP_FRAME_COUNT)) for file in pieces(path))
    assert 21 + 100 + 10 <= first <= 21 + 102 + 10
    assert second == 11
    assert sink.written == 7


def test_a_pipe_or_device_is_never_renamed() -> None:
    Rotation(max_bytes=1).rotate(Path("/dev/null"))
    sink = JsonSink("/dev/null", Rotation(max_bytes=1))
    feed(sink, [FrameResult(index, 0.0, True) for index in range(5)])
    assert sink.written == 5
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may rename anywhere")
def test_a_folder_that_forbids_renaming_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").touch()
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="can't be renamed for rotation"):
        Rotation().rotate(tmp_path / "out.jsonl")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("rotation", [Rotation(max_bytes=100_000, keep=2), Rotation(max_s=3600, keep=2)])
@pytest.mark.parametrize("make", [JsonSink, lambda target, rotation: CsvSink(target, LABELS, rotation)])
def test_many_short_runs_append_to_one_file(
    tmp_path: Path, make_result: Callable[..., FrameResult], rotation: Rotation, make: Callable[..., Sink]
) -> None:
    for run in range(21):
        feed(make(str(tmp_path / "out"), rotation=rotation), [make_result(run)])
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == 21 + (make is not JsonSink)
    assert not numbered_pieces(tmp_path / "out")


def test_a_file_that_several_runs_filled_is_rotated_at_its_bounds(
    tmp_path: Path, make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = tmp_path / "out.jsonl", [1e9]
    monkeypatch.setattr("fer_edge.sinks.rotation.now_s", lambda: now[0])
    for index in range(6):
        feed(JsonSink(str(path), Rotation(max_s=3600)), [make_result(index)])
        now[0] += 1500
    assert [[line["frame"] for line in lines_in([file])] for file in pieces(path)] == [[0, 1, 2], [3, 4, 5]]
    size = path.stat().st_size
    feed(JsonSink(str(path), Rotation(max_bytes=size + 10)), [make_result(6)])
    assert [line["frame"] for line in lines_in([path])] == [6]


@pytest.mark.parametrize("content", ['{"schema":1,"frame":0}\n{"schema":1,"fra', "frame,t\n", "mine", "\n"])
def test_a_file_of_another_kind_or_with_half_a_line_becomes_a_piece(
    tmp_path: Path, make_result: Callable[..., FrameResult], content: str
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(content)
    feed(JsonSink(str(path), Rotation(max_bytes=10_000)), [make_result(0)])
    assert (tmp_path / "out-000001.jsonl").read_text() == content
    assert len(lines_in([path])) == 1


@pytest.mark.parametrize("name", ["out-20261101.jsonl", "out-202611.jsonl", "out-000003.jsonl", "out-1.jsonl"])
def test_files_of_others_are_neither_counted_nor_deleted_nor_replaced(
    tmp_path: Path, make_result: Callable[..., FrameResult], name: str
) -> None:
    path = tmp_path / "out.jsonl"
    feed(JsonSink(str(path), Rotation(max_bytes=10, keep=2)), [make_result(index) for index in range(2)])
    (tmp_path / name).write_text("mine")
    feed(JsonSink(str(path), Rotation(max_bytes=10, keep=2)), [make_result(index) for index in range(2, 8)])
    assert (tmp_path / name).read_text() == "mine"
    ours = [file for file in sorted(tmp_path.glob("out-00*")) if file.name != name]
    assert [line["frame"] for line in lines_in([*ours, path])] == [5, 6, 7]


def test_a_lost_record_deletes_nothing_and_numbers_go_on(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    path = tmp_path / "out.jsonl"
    feed(JsonSink(str(path), Rotation(max_bytes=10, keep=3)), [make_result(index) for index in range(3)])
    record_of(path).write_text('{"pieces": ["../../x"], "began": null}')
    feed(JsonSink(str(path), Rotation(max_bytes=10, keep=1)), [make_result(index) for index in range(3, 7)])
    assert [line["frame"] for line in lines_in(pieces(path))] == [0, 1, 5, 6]


def test_small_videos_of_many_runs_are_kept_up_to_the_bytes_of_full_ones(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    for run in range(30):
        path.write_bytes(bytes([run]) * 100)
        Rotation(max_bytes=2000, keep=2).rotate(path)
    assert sorted(file.read_bytes()[0] for file in numbered_pieces(path).values()) == list(range(10, 30))


def test_a_new_piece_has_the_permissions_of_the_last_one(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonSink(str(path), Rotation(max_bytes=10))
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    feed(sink, [make_result(index) for index in range(3)])
    assert {file.stat().st_mode & 0o777 for file in pieces(path)} == {0o640}


def test_a_run_rotates_all_outputs_and_counts_every_result(fer_edge, tmp_path: Path) -> None:
    for _ in range(2):  # a restart needs no --overwrite
        ran = fer_edge(
            "--source", "demo:160x160", "--headless", "--max-frames", "40", "--json", "o.jsonl", "--csv", "o.csv",
            "--output", "o.avi", "--rotate-output", "2kB", "--keep-output", "4", "--report", "r.json", "--overwrite",
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["sinks"] == {name: {"written": 40, "lost": 0} for name in ("output", "json", "csv")}
    for name in ("o.jsonl", "o.csv"):
        files = pieces(tmp_path / name)
        assert len(files) >= 5
        assert all(0 < file.stat().st_size <= 2000 for file in files)
    assert lines_in([tmp_path / "o.jsonl"])[-1]["frame"] == 39


def test_stdout_redirected_to_a_file_is_not_rotated(
    tmp_path: Path, make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "out.csv").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        sink = CsvSink("-", LABELS, Rotation(max_bytes=10))
        feed(sink, [make_result(index) for index in range(4)])
        monkeypatch.undo()
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["frame", "0", "1", "2", "3"]
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("bound", ["24", "0MB", "-1h", "1TBh", "h", "1e3kB", ""])
def test_a_malformed_bound_is_a_usage_error(fer_edge, bound: str) -> None:
    ran = fer_edge("--source", "demo:160x160", "--json", "-", "--rotate-output", bound)
    assert ran.returncode == 2
    assert "neither a size, for example 100MB" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_folder_of_images_cannot_be_rotated(fer_edge) -> None:
    ran = fer_edge("--source", "demo:160x160", "--headless", "--output", "folder", "--rotate-output", "1MB")
    assert ran.returncode == 1
    assert "not to images" in ran.stderr
