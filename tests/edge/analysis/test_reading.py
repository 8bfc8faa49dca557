"""Result files as tables: pieces, gzip, CSV, half lines, and what is refused."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from fer_edge.analysis import load_results, read_results, summarize
from fer_edge.errors import DataError
from fer_edge.results import Face, FrameResult
from fer_edge.sinks.base import Published
from fer_edge.sinks.text import CsvSink

from .conftest import LABELS, line

HEADER = "frame,t,id,x,y,w,h,score,emotion,confidence"


def test_a_row_per_face_per_frame(results) -> None:
    table = read_results(results(lines=[line(0, 0.0, ["happy", "sad"]), line(1, 0.5, []), line(2, 1.0, ["sad"])]))
    assert table["frame"].to_list() == [0, 0, 2]
    assert table["emotion"].to_list() == ["happy", "sad", "sad"]
    assert table["id"].to_list() == [0, 1, 0]
    assert table["p_sad"].to_list() == pytest.approx([0.1, 0.8, 0.8])
    assert table["seconds"].to_list() == [0.5, 0.5, 0.5]
    assert table.loc[0, ["x", "y", "w", "h"]].to_list() == [10.5, 20.0, 30.0, 40.0]


def test_pieces_are_read_in_order_and_gzip_by_its_content(results, tmp_path) -> None:
    results("faces-000002.jsonl", [line(2, 2.0, ["sad"])])
    results("faces.jsonl", [line(3, 3.0, ["neutral"])])
    packed = tmp_path / "faces-000001.jsonl"
    packed.write_bytes(gzip.compress((line(0, 0.0, ["happy"]) + line(1, 1.0, ["happy"])).encode()))
    table = read_results([tmp_path / "faces.jsonl", tmp_path / "faces-000002.jsonl", packed])
    assert table["frame"].to_list() == [0, 1, 2, 3]
    assert set(table["run"]) == {0}


def test_a_half_last_line_is_left_out_and_noted(results) -> None:
    found = load_results(results(lines=[line(0, 0.0, ["happy"]), line(1, 0.1, ["sad"])[:50]]))
    assert len(found.faces) == 1
    assert "ends within a line" in found.notes[0]
    assert not found.damaged


def test_a_bad_line_inside_is_named(results) -> None:
    found = load_results(results(lines=[line(0, 0.0, ["happy"]), "{oops\n", line(1, 0.1, ["sad"])]))
    assert len(found.faces) == 2
    assert "line 2" in found.notes[0]
    assert found.damaged


@pytest.mark.parametrize(
    "wrong",
    [{"t": float("nan")}, {"frame": 10**30}, {"t": 1e300}, {"t": "x"}, {"file": 7}],
    ids=lambda wrong: next(iter(wrong.items())).__repr__(),
)
def test_values_no_run_writes_are_bad_lines(results, wrong: dict[str, object]) -> None:
    bad = json.loads(line(1, 0.1, ["sad"])) | wrong
    found = load_results(results(lines=[line(0, 0.0, ["happy"]), json.dumps(bad) + "\n"]))
    assert len(found.faces) == 1
    assert found.damaged


def test_a_csv_gives_the_same_table(results, tmp_path) -> None:
    rows = []
    for frame in range(4):
        face = Face((1, 2, 30, 40), 0.9, "=sad", 0.7, {"happy": 0.3, "=sad": 0.7}, track_id=5, unsure=frame == 3)
        rows.append(FrameResult(frame, frame / 2, True, (face,), file="-a.jpg"))
    sink = CsvSink(str(tmp_path / "faces.csv"), ("happy", "=sad"), with_file=True)
    for row in rows:
        sink.write(Published(row, None))
    sink.close()
    path = results(lines=[json.dumps(row.to_dict()) + "\n" for row in rows])
    from_csv, from_json = read_results(tmp_path / "faces.csv"), read_results(path)
    assert from_csv["emotion"].to_list() == ["=sad"] * 4
    assert from_csv["file"].to_list() == ["-a.jpg"] * 4
    pd.testing.assert_frame_equal(from_csv, from_json)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "holds no result"),
        (["name,age\n", "x,3\n"], "lacks the columns frame"),
        (["frame,t,id,x,y,w,h,score,emotion,happy\n"], "lacks the columns confidence"),
        (['{"schema":2,"faces":[]}\n'], "schema 2"),
        (['{"loss": 0.5}\n'], "line 1 is not a result"),
        (["{\n", '  "schema": 1\n', "}\n"], "--run-report"),
        (["hello\n"], "holds neither JSON lines nor a CSV"),
        (['[{"schema": 1, "faces": []}]\n'], "holds neither JSON lines nor a CSV"),
        (["\x89PNG\x00,\x01\n"], "holds neither JSON lines nor a CSV"),
        ([f"{HEADER}\n"], "lacks the columns of the emotions"),
        ([f"{HEADER},happy,happy\n"], "has a column twice"),
        ([f"{HEADER},sad,happy\n", '0,0,0,1,1,5,5,"0,9",happy,"0,9",0,1\n'], "line 2 is not a row of fer-edge"),
        (['{"schema":1,"fra'], "its only line is incomplete"),
        ([line(0, 0.0, ["happy"]).replace("sad", "unsure")], "stands for uncertain faces"),
        (['{"schema":1,"interval_s":60,"start_t":0,"withheld":true}\n'], "holds counts per interval"),
    ],
)
def test_another_programs_file_is_refused(results, lines: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_results(results(lines=lines))


def test_results_of_another_label_set_are_refused(results) -> None:
    other = line(0, 0.0, ["happy"]).replace("neutral", "bored")
    with pytest.raises(DataError, match="bored"):
        read_results([results("a.jsonl", [line(0, 0.0, ["happy"])]), results("b.jsonl", [other])])


def test_a_folder_holds_runs_but_not_their_reports_nor_the_same_run_twice(results, tmp_path) -> None:
    results("a.jsonl", [line(0, 0.0, ["happy"])])
    (tmp_path / "a.report.json").write_text("{}")
    (tmp_path / "a.csv").write_text("not read")
    assert len(read_results(tmp_path)) == 1


def test_half_a_head_of_gzip_is_half_a_line(tmp_path) -> None:
    (tmp_path / "faces.jsonl.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="its only line is incomplete"):
        read_results(tmp_path / "faces.jsonl.gz")


@pytest.mark.parametrize("time", ["yesterday", "9999-12-31T23:59:59.000Z", "0001-01-01T00:00:00.000Z"])
def test_times_that_are_none_are_noted_and_left_out(results, time: str) -> None:
    found = load_results(results(lines=[line(n, n / 2, ["happy"], time=time) for n in range(3)]))
    assert found.faces["time"].isna().all()
    assert found.notes == (f"{found.files[0]}: left out 3 times of day that could not be read",)


def test_seconds_that_no_run_reaches_are_damage(results) -> None:
    found = load_results(results(lines=[line(0, 0.0, ["happy"]), line(1, 1e12, ["happy"]), line(2, 1.0, ["happy"])]))
    assert found.damaged and found.faces["frame"].to_list() == [0, 2]


def test_a_clock_that_was_set_is_noted_and_durations_stay(results) -> None:
    times = ["2026-05-01T12:00:00.000Z", "2026-05-01T12:00:00.500Z", "2026-05-01T09:00:01.000Z"]
    found = load_results(results(lines=[line(n, n / 2, ["happy"], time=time) for n, time in enumerate(times)]))
    assert "clock was set by 3 h" in found.notes[0]
    assert found.faces["seconds"].sum() == pytest.approx(1.5)


def test_a_new_start_of_fer_edge_is_a_new_run(results) -> None:
    table = read_results(results(lines=[line(0, 0.0, ["happy"]), line(1, 9.0, ["happy"]), line(0, 0.0, ["sad"])]))
    assert table["run"].to_list() == [0, 0, 1]
    assert table["seconds"].to_list() == [1.0, 1.0, 0.0]  # at most a second


def test_resampling_keeps_rows_and_seconds(results) -> None:
    path = results()
    plain, merged = read_results(path), read_results(path, resample="2s")
    assert len(merged) < len(plain) / 10
    assert merged["rows"].sum() == len(plain)
    assert merged["seconds"].sum() == pytest.approx(plain["seconds"].sum())
    whole, summary = summarize(load_results(path)), summarize(load_results(path, resample="2s"))
    for name in ("frames", "frames_with_faces", "rows", "seconds", "watched_seconds", "faces"):
        assert summary[name] == whole[name]
    assert summary["changes_per_minute"] is None  # merged rows don't tell
    assert np.allclose(merged[[f"p_{label}" for label in LABELS]].sum(axis=1), 1.0, atol=1e-5)
