"""Streams of real servers that die, stop sending, send garbage, change their size or end in the middle of a frame."""

import contextlib
import csv
import itertools
import json
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fer_edge.cli.report import build_report
from fer_edge.errors import SourceError
from fer_edge.guards.secrets import redact
from fer_edge.sources import open_source
from fer_edge.sources.reconnect import ReconnectPolicy

Pieces = Iterator[bytes | None]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_a_server_that_is_killed_and_comes_back_is_reconnected(ffmpeg_server, watch, scheme: str) -> None:
    server = ffmpeg_server(scheme)
    run = watch(server.url)
    run.more(10)
    server.die()
    server.start()
    run.until(lambda pipeline: pipeline.source.reconnects == 1)
    run.more(10)
    run.end()
    report = build_report(run.pipeline, 1.0, {})
    assert report["reconnects"] == 1
    assert len(report["gaps_s"]) == 1
    assert report["gaps_s"][0] > 0
    assert report["frames"]["errors"] == 0


def test_a_camera_that_dies_twice_is_reconnected_and_its_gaps_are_reported(mjpeg, watch, jpegs, part) -> None:
    server = mjpeg(lambda _number: map(part, itertools.cycle(jpegs)))
    run = watch(server.url)
    for _ in range(2):
        run.more(5)
        server.die()
        server.start()
        run.more(5)
    run.end()
    report = build_report(run.pipeline, 1.0, {})
    assert report["reconnects"] == len(report["gaps_s"]) == 2


def test_frames_that_stop_without_an_error_are_noticed(mjpeg, watch, jpegs, part) -> None:
    def script(number: int) -> Pieces:
        yield from map(part, jpegs)
        yield from [None] if number == 0 else map(part, itertools.cycle(jpegs))

    server = mjpeg(script)
    run = watch(server.url, ReconnectPolicy(silent_s=0.5, first_retry_s=0.05))
    run.until(lambda pipeline: pipeline.source.reconnects == 1)
    run.more(len(jpegs))
    run.end()
    assert server.calls == 2
    assert 0.4 < run.pipeline.source.gaps_s[0] < 10


def test_a_server_that_stays_away_is_reported_as_lost(mjpeg, watch, jpegs, part) -> None:
    server = mjpeg(lambda _number: map(part, itertools.cycle(jpegs)))
    run = watch(server.url, ReconnectPolicy(first_retry_s=0.05, max_retry_s=0.1, give_up_s=1))
    run.more(3)
    server.die()
    assert run.pipeline.wait(20)
    assert isinstance(run.pipeline.error, SourceError)
    assert "is lost: no frame for" in str(run.pipeline.error)
    assert run.pipeline.in_flight == 0


def test_corrupted_images_do_not_end_a_stream(mjpeg, watch, jpegs, part) -> None:
    rng = random.Random(1)

    def corrupted(image: bytes) -> bytes:
        data = bytearray(image)
        for _ in range(20):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data[: rng.randrange(len(data) // 2, len(data))])

    def script(_number: int) -> Pieces:
        for image in itertools.cycle(jpegs):
            yield part(image)
            yield part(corrupted(image))
            yield part(rng.randbytes(500))

    run = watch(mjpeg(script, pause_s=0.01).url)
    run.more(60)
    run.end()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_flipped_bytes_do_not_end_a_transport_stream(clip: Path, tmp_path: Path, watch) -> None:
    stream = tmp_path / "clip.ts"
    subprocess.run(["ffmpeg", "-v", "quiet", "-i", str(clip), "-c:v", "mpeg2video", "-g", "5", str(stream)], check=True)
    rng, data = random.Random(2), stream.read_bytes()

    def send(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            line.sendall(2 * data)  # intact, so that it opens
            while True:
                corrupted = bytearray(data)
                for _ in range(len(data) // 500):
                    corrupted[rng.randrange(len(data))] = rng.randrange(256)
                line.sendall(corrupted)

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                threading.Thread(target=send, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        run = watch(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        run.more(400)
        run.end()
        server.shutdown(socket.SHUT_RDWR)


def test_a_size_change_does_not_end_a_stream(mjpeg, watch, jpegs, part, jpeg) -> None:
    def script(_number: int) -> Pieces:
        for images in itertools.cycle([jpegs[:3], [jpeg(0.5, (640, 480))] * 3, [jpeg(0.5, (200, 160))] * 3]):
            yield from map(part, images)

    run = watch(mjpeg(script).url)
    run.more(20)
    run.end()
    assert run.pipeline.source.reconnects == 0
    assert run.shapes == {(240, 320)}, "OpenCV's FFmpeg backend scales to the first size"


def test_a_stream_that_ends_in_the_middle_of_a_frame_is_reconnected(mjpeg, watch, jpegs, part) -> None:
    def script(_number: int) -> Pieces:
        yield from map(part, jpegs[:6])
        yield part(jpegs[6])[:-2000]

    run = watch(mjpeg(script).url)
    run.until(lambda pipeline: pipeline.source.reconnects >= 2)
    run.end()


def test_a_file_that_ends_in_the_middle_of_a_frame_is_read_as_far_as_it_goes(
    fer_edge: Callable[..., "subprocess.CompletedProcess[str]"], clip: Path, tmp_path: Path
) -> None:
    data = clip.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    done = fer_edge("--source", "cut.mkv", "--headless", "--json", "-", "--report", "r.json")
    assert done.returncode == 1
    lines = [json.loads(line)["frame"] for line in done.stdout.splitlines()]
    assert 5 < len(lines) < 30
    assert lines == list(range(len(lines)))
    frames = json.loads((tmp_path / "r.json").read_text())["frames"]
    assert frames["processed"] == len(lines)
    assert (frames["captured"], frames["in_flight"]) == (30, 0)
    assert f"cut.mkv: {len(lines)} of 30 frames: the file is cut short" in done.stderr


@pytest.mark.parametrize("scheme", ["tcp", "http", "rtsp"])
def test_a_missing_server_has_exit_code_1(fer_edge, tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = fer_edge("--source", f"{scheme}://user:secret@127.0.0.1:{port}/x", "--headless", "--json", "out.jsonl")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "can't be opened" in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_live_results_have_the_time_of_day_at_once_and_take_no_start_time(
    mjpeg, fer_edge, jpegs, part, tmp_path: Path
) -> None:
    server = mjpeg(lambda _number: map(part, itertools.cycle(jpegs)))
    began = datetime.now(UTC)
    done = fer_edge("--source", server.url, "--headless", "--max-frames", "5", "--json", "-", "--csv", "out.csv")
    assert done.returncode == 0, done.stderr
    times = [datetime.fromisoformat(json.loads(line)["time"]) for line in done.stdout.splitlines()]
    assert began - timedelta(seconds=1) <= times[0] <= times[-1] <= datetime.now(UTC)
    assert times == sorted(set(times))
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-1] == "time"
    assert {datetime.fromisoformat(row["time"]) for row in rows} <= set(times)
    done = fer_edge("--source", server.url, "--headless", "--start-time", "2026-05-01T12:00Z", "--json", "new.jsonl")
    assert done.returncode == 1
    assert done.stderr == f"fer-edge: {redact(server.url)} is live and has its own clock: leave out --start-time\n"
    assert not (tmp_path / "new.jsonl").exists()


def test_a_server_that_accepts_and_sends_nothing_is_given_up() -> None:
    def serve() -> None:
        lines.append(server.accept()[0])

    lines: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(SourceError, match=r"does not answer within 0\.5 s"):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/x", reconnect_policy=ReconnectPolicy(open_s=0.5))
    for line in lines:
        line.close()
