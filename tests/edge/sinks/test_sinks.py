import csv
import dataclasses
import errno
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.errors import OutputError
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.sinks import Published, Sink, SinkRunner
from fer_edge.sinks.images import FolderSink, check_image_output, open_image_sink
from fer_edge.sinks.text import CsvSink, JsonSink
from fer_edge.sources.base import Source

pytestmark = pytest.mark.usefixtures("no_threads_left")
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def frame_of(index: int, shape: tuple[int, ...] = (48, 64, 3)) -> Frame:
    return Frame(index, index / 30, 0.0, np.full(shape, 10 * index % 256, dtype=np.uint8))


def feed(sink: Sink, results: list[FrameResult], live: bool = False) -> SinkRunner:
    runner = SinkRunner(sink, live)
    for result in results:
        runner.offer(frame_of(result.frame), result)
    runner.close()
    return runner


class FailingSink(Sink):
    name, needs_image = "failing", False

    def __init__(self, error: BaseException, after: int = 2) -> None:
        self.error, self.after = error, after
        self.closed = 0

    def write(self, _item: Published) -> None:
        if self.written == self.after:
            raise self.error
        self.written += 1

    def close(self) -> None:
        self.closed += 1


def test_json_lines_follow_the_schema(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    runner = feed(JsonSink(str(tmp_path / "out.jsonl")), [make_result(0), make_result(1, faces=0), make_result(2, 2)])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["schema"], line["frame"], len(line["faces"])) for line in lines] == [(1, 0, 1), (1, 1, 0), (1, 2, 2)]
    face = lines[0]["faces"][0]
    assert list(face) == ["id", "box", "score", "emotion", "confidence", "probabilities", "age_ms", "unsure"]
    assert face["box"] == [10, 20, 30, 40]
    assert tuple(face["probabilities"]) == LABELS
    assert "file" not in lines[0]
    assert (runner.written, runner.lost) == (3, 0)


def test_an_image_name_need_not_be_unicode(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    name = os.fsdecode(b"gr\xfc\xdfe.jpg")
    feed(JsonSink(str(tmp_path / "out.jsonl")), [make_result(0, file=name)])
    assert json.loads((tmp_path / "out.jsonl").read_text())["file"] == name


def test_a_number_that_json_cannot_express_is_never_written(tmp_path: Path) -> None:
    runner = feed(JsonSink(str(tmp_path / "out.jsonl")), [FrameResult(0, float("nan"), True)])
    assert (tmp_path / "out.jsonl").read_text() == ""
    assert runner.lost == 1


def test_csv_has_a_row_per_face_and_quotes_labels(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    feed(CsvSink(str(tmp_path / "out.csv"), LABELS), [make_result(0, 2), make_result(1, 0), make_result(2, 1)])
    with (tmp_path / "out.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["frame", "t", "id", "x", "y", "w", "h", "score", "emotion", "confidence", *LABELS, "unsure"]
    assert {row[-1] for row in rows} == {"0"}
    assert [(row[0], row[2]) for row in rows] == [("0", "0"), ("0", "1"), ("2", "0")]
    assert all(len(row) == len(head) for row in rows)
    odd = ('so, "so"', "other")
    CsvSink(str(tmp_path / "odd.csv"), odd).close()
    with (tmp_path / "odd.csv").open(newline="") as file:
        assert tuple(next(csv.reader(file))[-3:-1]) == odd


def test_csv_has_the_time_of_day_and_the_file_if_wanted(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    result = dataclasses.replace(make_result(0, file="in/a, b.jpg"), time="2026-05-01T12:00:00.000Z")
    feed(CsvSink(str(tmp_path / "out.csv"), LABELS, with_time=True, with_file=True), [result])
    with (tmp_path / "out.csv").open(newline="") as file:
        head, row = csv.reader(file)
    assert (head[-2:], row[-2:]) == (["time", "file"], ["2026-05-01T12:00:00.000Z", "in/a, b.jpg"])
    feed(CsvSink(str(tmp_path / "live.csv"), LABELS, with_time=True), [result])
    assert (tmp_path / "live.csv").read_text().splitlines()[0].endswith(",time")


def read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(descriptor, 1)
    return line


def test_a_pipe_gets_every_line_at_once_and_a_file_once_a_second(
    tmp_path: Path, make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    sink = JsonSink(str(tmp_path / "pipe"))
    for index in range(3):
        sink.write(Published(make_result(index), None))  # no flush
        assert json.loads(read_line(reader))["frame"] == index
    sink.close()
    os.close(reader)
    sink = JsonSink(str(tmp_path / "file"))
    sink.write(Published(make_result(0), None))
    assert (tmp_path / "file").read_text() == ""
    sink.flush()
    assert (tmp_path / "file").read_text().count("\n") == 1
    sink.close()
    with (tmp_path / "stdout").open("w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        sink = JsonSink("-")
        sink.write(Published(make_result(0), None))
        assert (tmp_path / "stdout").read_text().count("\n") == 1
        sink.close()


def test_a_full_pipe_that_does_not_wait_loses_no_line(
    make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stdout, os.fdopen(reader, "rb") as lines:
        monkeypatch.setattr("sys.stdout", stdout)
        runner = SinkRunner(JsonSink("-"), live=False)
        results = [make_result(index, 20) for index in range(60)]  # more than a pipe holds
        for result in results:
            runner.offer(frame_of(result.frame), result)
        assert [json.loads(lines.readline())["frame"] for _ in results] == list(range(60))
        runner.close()
    assert (runner.written, runner.lost, runner.failure) == (60, 0, None)


def test_every_line_of_a_long_run_is_whole_and_in_order(
    tmp_path: Path, make_result: Callable[..., FrameResult]
) -> None:
    feed(JsonSink(str(tmp_path / "out.jsonl")), [make_result(index, 0) for index in range(1000)])
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(1000))


def test_a_full_disk_leaves_no_partial_line_and_is_counted(
    tmp_path: Path, make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    room, real_write = [500], os.write

    def write(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = real_write(descriptor, data[: room[0]])
        room[0] -= done
        return done

    sink = JsonSink(str(tmp_path / "out.jsonl"))
    monkeypatch.setattr(os, "write", write)
    for index in range(10):
        sink.write(Published(make_result(index), None))
    with pytest.raises(OSError, match="No space"):
        sink.flush()
    monkeypatch.undo()
    sink.close()
    lines = (tmp_path / "out.jsonl").read_text().splitlines(keepends=True)
    assert all(json.loads(line) and line.endswith("\n") for line in lines)
    assert 0 < sink.written == len(lines) < 10


def test_a_failing_sink_is_logged_once_counted_and_closed(
    make_result: Callable[..., FrameResult], caplog: pytest.LogCaptureFixture
) -> None:
    sink = FailingSink(OSError(errno.ENOSPC, "No space left on device"))
    runner = feed(sink, [make_result(index) for index in range(50)])
    assert (runner.written, runner.lost, sink.closed) == (2, 48, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "--failing failed and is abandoned: No space left on device"
    ]


class DirectSink(FailingSink):
    name, needs_image, never_waits = "direct", False, True
    thread: threading.Thread | None = None

    def write(self, item: Published) -> None:
        self.thread = threading.current_thread()
        super().write(item)


def test_a_sink_that_never_waits_is_written_at_once_and_may_fail(
    make_result: Callable[..., FrameResult], caplog: pytest.LogCaptureFixture
) -> None:
    sink = DirectSink(ValueError("it broke"))
    runner = SinkRunner(sink, live=True)
    for index in range(5):
        runner.offer(frame_of(index), make_result(index))
        assert runner.written == min(index + 1, 2)
    assert sink.thread is threading.current_thread()
    assert [record.message for record in caplog.records] == ["--direct failed and is abandoned: it broke"]
    runner.close()
    assert (runner.lost, sink.closed) == (3, 1)


def test_a_closed_pipe_is_not_a_warning(
    make_result: Callable[..., FrameResult], caplog: pytest.LogCaptureFixture
) -> None:
    runner = feed(FailingSink(BrokenPipeError()), [make_result(index) for index in range(5)])
    assert isinstance(runner.failure, BrokenPipeError)
    assert not caplog.records


def test_a_failing_sink_does_not_affect_the_others(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    bad, good = SinkRunner(FailingSink(ValueError("bad")), False), SinkRunner(JsonSink(str(tmp_path / "o")), False)
    for index in range(20):
        for runner in (bad, good):
            runner.offer(frame_of(index), make_result(index))
    for runner in (bad, good):
        runner.close()
    assert (good.written, good.lost) == (20, 0)
    assert bad.lost == 18


def source(live: bool = False, image_count: int | None = None) -> Source:
    made = Source()
    made.name, made.live, made.fps, made.image_count = "test", live, 25.0, image_count
    return made


def test_one_image_becomes_a_file_and_several_a_folder(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    feed(open_image_sink(tmp_path / "one.png", source(image_count=1), True, False), [make_result(0)])
    assert cv2.imread(str(tmp_path / "one.png")).shape == (48, 64, 3)
    feed(open_image_sink(tmp_path / "all", source(), False, False), [make_result(index) for index in range(3)])
    names = sorted(entry.name for entry in (tmp_path / "all").iterdir())
    assert names == ["frame_000000.jpg", "frame_000001.jpg", "frame_000002.jpg"]


def test_images_of_one_name_do_not_replace_each_other(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    files = ["x/a.png", "y/a.png", "z/b.pgm"]
    runner = feed(FolderSink(tmp_path), [make_result(index, file=file) for index, file in enumerate(files)])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.png", "a_000001.png", "b.pgm.png"]
    assert runner.lost == 0


def test_an_image_of_the_source_is_never_replaced(tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    original = tmp_path / "a.png"
    original.write_text("original")
    runner = feed(FolderSink(tmp_path), [make_result(0, file=str(original))])
    assert original.read_text() == "original"
    assert runner.lost == 1


def test_existing_outputs_are_refused_unless_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old.jpg").write_text("old")
    (tmp_path / "plain").write_text("old")
    for name in ("old.mp4", "folder"):
        with pytest.raises(OutputError, match="--overwrite"):
            check_image_output(tmp_path / name)
        check_image_output(tmp_path / name, overwrite=True)
    for name in ("plain", "missing/out.mp4", "plain/out", "out.doc", "out.pgm"):
        with pytest.raises(OutputError):
            check_image_output(tmp_path / name, overwrite=True)
    check_image_output(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()


def test_many_frames_do_not_fit_into_one_image(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="--max-frames 1"):
        open_image_sink(tmp_path / "out.jpg", source(), single=False, gaps=False)


class StuckSink(Sink):
    """Hangs in its first write until `released`, like a pipe without a reader."""

    name, needs_image, target = "stuck", False, "the pipe"

    def __init__(self) -> None:
        self.released = threading.Event()

    def write(self, _item: Published) -> None:
        assert self.released.wait(20)
        self.written += 1


def test_a_hanging_sink_blocks_neither_a_live_pipeline_nor_other_sinks(fakes, tmp_path: Path) -> None:
    stuck, runners = StuckSink(), []
    runners += [SinkRunner(stuck, live=True), SinkRunner(JsonSink(str(tmp_path / "o")), live=True)]

    def publish(frame: Frame, result: FrameResult) -> None:
        for runner in runners:
            runner.offer(frame, result)

    # Offered one by one: no frame is dropped for being late, so all losses are the sink's.
    source = fakes.Source(600, live=True)
    pipeline = Pipeline(source, fakes.Detector(), fakes.Classifier(), publish, options=StreamOptions(lossless=True))
    fakes.finish(pipeline)
    assert pipeline.stats.processed == 600
    runners[1].close()
    assert runners[1].written + runners[1].lost == 600
    assert runners[1].written > 0
    stuck.released.set()
    runners[0].close()
    assert 256 <= runners[0].written <= 258, "what its queue holds, and what it hung in"
    assert runners[0].written + runners[0].lost == 600


def test_a_hanging_sink_does_not_block_the_end_of_a_file(
    fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fer_edge.sinks.base.CLOSE_TIMEOUT_S", 0.2)
    stuck, other = StuckSink(), JsonSink(str(tmp_path / "o"))
    runners = [SinkRunner(sink, live=False) for sink in (stuck, other)]

    def publish(frame: Frame, result: FrameResult) -> None:
        for runner in runners:
            runner.offer(frame, result)

    pipeline = Pipeline(fakes.Source(600), fakes.Detector(), fakes.Classifier(), publish)
    pipeline.start()
    assert not pipeline.wait(1.0)  # everything waits for the sink, which may just be slow
    assert not caplog.records
    since = time.monotonic()

    def abandon() -> bool:
        for runner in runners:
            runner.abandon_if_hanging(since)
        return False

    pipeline.release(gives_up=abandon)
    for runner in runners:
        runner.close()
    assert [record.getMessage() for record in caplog.records] == [
        "--stuck the pipe hangs and is abandoned: its last results are lost"
    ]
    assert isinstance(runners[0].failure, TimeoutError)
    assert (runners[1].lost, runners[1].written) == (0, pipeline.stats.processed)
    assert 250 < pipeline.stats.processed < 600
    stuck.released.set()


def test_a_file_that_is_written_under_another_name_is_refused_and_kept(tmp_path: Path) -> None:
    first = JsonSink(str(tmp_path / "a.jsonl"))
    first.add_lines("{}\n")
    first.flush()
    (tmp_path / "b.jsonl").hardlink_to(tmp_path / "a.jsonl")
    with pytest.raises(OutputError, match=r"b\.jsonl is being written under another name: name another file"):
        JsonSink(str(tmp_path / "b.jsonl"))
    first.close()
    assert (tmp_path / "a.jsonl").read_text() == "{}\n"
    JsonSink(str(tmp_path / "b.jsonl")).close()
    assert (tmp_path / "a.jsonl").read_text() == ""
