"""The status line: what it says, that it fits the terminal, and how often it is written."""

import errno
import io
import os
import sys
from collections.abc import Callable

import pytest

from fer_edge.cli import status as status_module
from fer_edge.cli.status import StatusLine, blocks_allowed, fitted
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The status line's time, in seconds; a test advances it."""
    now = [100.0]
    monkeypatch.setattr(status_module.time, "monotonic", lambda: now[0])
    return now


def pipeline_at(fakes, processed: int, faces: int, frame_count: int | None = 300) -> Pipeline:
    """A pipeline that has processed that many frames."""
    source = fakes.Source(1)
    source.frame_count = frame_count
    pipeline = fakes.pipeline(source)
    pipeline.stats.captured = pipeline.stats.processed = processed
    make = fakes.faces
    pipeline.summary.add(FrameResult(processed, processed / 30, True, make(faces)))
    return pipeline


@pytest.fixture
def lines(fakes, make_face, clock: list[float], capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """What the status line writes into a log after `elapsed_s`."""
    fakes.faces = lambda count: tuple(make_face(box=(50 * number, 0, 9, 9)) for number in range(count))

    def run(elapsed_s: float, processed: int = 90, faces: int = 1, frame_count: int | None = 300) -> list[str]:
        status = StatusLine(results_on_stdout=False)
        status.begin(pipeline_at(fakes, processed, faces, frame_count))
        clock[0] += elapsed_s
        status.update()
        return capsys.readouterr().err.splitlines()

    return run


def test_the_line_has_the_emotion_the_rate_and_the_progress(lines) -> None:
    assert lines(30.0) == ["happy 70 % | 3.0 FPS | 30 % done, 1 min 10 s left | 90 frames, 0 faces"]
    assert lines(12.0, faces=0) == ["no face | 7.5 FPS | 30 % done, 28 s left | 90 frames, 0 faces"]
    assert lines(10.0, faces=5) == ["5 happy | 9.0 FPS | 30 % done, 23 s left | 90 frames, 0 faces"]


def test_no_progress_is_claimed_where_the_length_is_unknown_or_wrong(lines) -> None:
    assert "%  done" not in lines(10.0, frame_count=None)[0]
    assert "done" not in lines(10.0, frame_count=None)[0]
    assert "done" not in lines(10.0, frame_count=80)[0]  # it holds more frames than it announced


def test_no_time_left_is_guessed_from_the_first_moments(lines) -> None:
    assert "1 % done |" in lines(10.0, processed=2)[0]


def test_a_log_gets_a_line_every_ten_seconds(lines) -> None:
    assert lines(9.9) == []


def test_limits_of_the_run_count_as_its_end(fakes) -> None:
    pipeline = fakes.pipeline(fakes.Source(1), options=StreamOptions(max_frames=60))
    pipeline.stats.captured = pipeline.stats.processed = 15
    assert pipeline.progress == 0.25
    pipeline = fakes.pipeline(fakes.Source(1, live=True), options=StreamOptions(duration_s=10.0))
    pipeline.summary.add(FrameResult(0, 5.0, True))
    assert pipeline.progress == 0.5
    assert fakes.pipeline(fakes.Source(1, live=True)).progress is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


def test_a_terminal_gets_one_line_that_fits_at_most_twice_a_second(
    fakes, make_face, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(status_module.os, "get_terminal_size", lambda _descriptor: os.terminal_size((20, 24)))
    fakes.faces = lambda count: tuple(make_face() for _ in range(count))
    status = StatusLine(results_on_stdout=False)
    status.begin(pipeline_at(fakes, 90, 1))
    for _ in range(30):  # three seconds
        clock[0] += 0.1
        status.update()
    written = terminal.getvalue().split("\r\x1b[K")[1:]
    assert len(written) in (5, 6)
    assert all(text.startswith("happy 70 % | ") and len(text) <= 19 and "\n" not in text for text in written)
    monkeypatch.setattr(status_module.os, "get_terminal_size", lambda _descriptor: os.terminal_size((0, 0)))
    clock[0] += 1
    status.update()
    assert terminal.getvalue().endswith("30 % done, 9 s left"), "a terminal that does not know its size"


def test_a_terminal_that_hung_up_does_not_end_the_run(
    fakes, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hung_up(_descriptor: int) -> os.terminal_size:
        raise OSError(errno.EIO, "Input/output error")

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(status_module.os, "get_terminal_size", hung_up)
    fakes.faces = lambda _count: ()
    status = StatusLine(results_on_stdout=False)
    status.begin(pipeline_at(fakes, 90, 0))
    clock[0] += 30
    status.update()
    assert terminal.getvalue().endswith("30 % done, 1 min 10 s left")


@pytest.mark.parametrize(
    ("text", "width", "shown"), [("abc", 3, "abc"), ("abcd", 3, "abc"), ("幸福な", 5, "幸福"), ("", 0, "")]
)
def test_characters_that_take_two_columns_count_twice(text: str, width: int, shown: str) -> None:
    assert fitted(text, width) == shown


@pytest.mark.parametrize(
    ("encoding", "allowed"), [("utf-8", True), ("ascii", False), ("latin-1", False), ("odd", False)]
)
def test_bars_have_block_characters_where_the_encoding_has_them(
    monkeypatch: pytest.MonkeyPatch, encoding: str, allowed: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", type("Stream", (), {"encoding": encoding}))
    assert blocks_allowed() is allowed
