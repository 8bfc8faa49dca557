"""The sink of --aggregate-out: whole lines, rotation, and counts that stay right when a line can't be written."""

import json
from pathlib import Path

import pytest

from fer_edge.errors import OutputError
from fer_edge.privacy.modes import Aggregation
from fer_edge.results import Face, FrameResult
from fer_edge.sinks.aggregate import AggregateSink
from fer_edge.sinks.base import Published, SinkRunner
from fer_edge.sinks.rotation import Rotation
from fer_edge.sinks.text import JsonSink


def published(frame: int, per_second: int = 2) -> Published:
    face = Face((0, 0, 9, 9), 0.9, "happy", 0.8, {"happy": 0.8}, track_id=frame % 3)
    return Published(FrameResult(frame, frame / per_second, True, (face,)), None)


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_comes_once_its_interval_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = AggregateSink(str(path), Aggregation(2, 0), ("happy",))
    for frame in range(4):
        sink.write(published(frame))
    sink.flush()
    assert path.read_text() == ""
    assert (sink.written, sink.intervals) == (4, 0)
    sink.write(published(4))
    sink.flush()
    assert [line["frames"] for line in lines_of(path)] == [4]
    sink.close()
    assert [(line["start_t"], line["frames"]) for line in lines_of(path)] == [(0, 4), (2, 1)]
    assert (sink.written, sink.intervals, sink.withheld) == (5, 2, 0)


def test_results_of_a_line_that_cannot_be_written_are_lost() -> None:
    sink = AggregateSink("/dev/full", Aggregation(2, 0), ("happy",))
    runner = SinkRunner(sink, live=False)
    for frame in range(7):
        runner.offer(None, published(frame).result)  # type: ignore[arg-type]
    runner.close()
    assert isinstance(runner.failure, OSError)
    assert (runner.written, runner.lost, sink.intervals) == (0, 7, 0)


def test_a_closed_stdout_is_named_by_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(OutputError, match="--aggregate-out -: stdout is closed"):
        AggregateSink("-", Aggregation(1), ())


def test_lines_before_a_failure_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = AggregateSink(str(tmp_path / "out.jsonl"), Aggregation(1, 2), ("happy",))
    for frame in range(5):
        sink.write(published(frame))
    sink.flush()
    assert (sink.written, sink.intervals, sink.withheld) == (5, 2, 0)

    def refuse(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", refuse)
    for frame in range(5, 8):
        sink.write(published(frame))
    with pytest.raises(OSError, match="No space"):
        sink.flush()
    sink.close()
    assert (sink.written, sink.intervals) == (4, 2)
    assert len(lines_of(tmp_path / "out.jsonl")) == 2


def test_lines_are_rotated_and_never_appended_to_those_of_another_kind(tmp_path: Path) -> None:
    path, rotation = tmp_path / "out.jsonl", Rotation(max_bytes=100_000)
    first = JsonSink(str(path), rotation)
    first.write(published(0))
    first.close()
    for _ in range(2):
        sink = AggregateSink(str(path), Aggregation(1), ("happy",), rotation)
        sink.write(published(0))
        sink.close()
    assert [len(lines_of(file)) for file in (tmp_path / "out-000001.jsonl", path)] == [1, 2]
    assert "faces" in lines_of(tmp_path / "out-000001.jsonl")[0]
    again = JsonSink(str(path), rotation)
    again.close()
    assert path.read_text() == ""
    assert len(lines_of(tmp_path / "out-000002.jsonl")) == 2
