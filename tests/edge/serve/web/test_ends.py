"""How watching begins and ends, what viewers see meanwhile, and what --blur and --aggregate keep from them."""

import asyncio
import itertools
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from click.testing import Result

from fer_edge.demo.scene import draw_scene
from fer_edge.framing import Image
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.privacy.modes import Aggregation
from fer_edge.recognizer import EmotionRecognizer
from fer_edge.results import Face
from fer_edge.serve.web.live.hub import Hub
from fer_edge.serve.web.live.pace import TICK_S, Pace
from fer_edge.serve.web.streams import Streams
from fer_edge.sinks.base import Published
from fer_edge.sources.iterable import IterableSource
from tests.edge.serve.web.conftest import TOKEN, Server
from tests.edge.serve.web.test_streams import events, live, open_stream

Serve = Callable[..., Server]
Command = Callable[..., Result]


def never_reads(port: int, path: str) -> socket.socket:
    """A client that asks for a stream and takes nothing of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def test_ctrl_c_ends_a_run_with_open_streams(model: Path, tmp_path: Path) -> None:
    clip = tmp_path / "minute.avi"  # longer than a busy machine takes to show its first frame
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(600):
        writer.write(np.zeros((120, 160, 3), np.uint8))
    writer.release()
    command = [sys.executable, "-m", "fer_edge", str(clip), "--headless", "--realtime", "--model", str(model)]
    run = subprocess.Popen(
        [*command, "--serve", "0"], stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )  # fmt: skip
    assert run.stderr is not None
    try:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", run.stderr.readline())[1])  # type: ignore[index]
        stuck = [never_reads(port, path) for path in ("/stream.mjpg", "/api/v1/events", "/api/v1/live")]
        reading = socket.create_connection(("127.0.0.1", port))
        reading.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b'"event": "result"' not in received:
            received += (part := reading.recv(65536))
            assert part, "the stream ended"
        run.send_signal(signal.SIGINT)
        _, written = run.communicate(timeout=20)
    finally:
        run.kill()
    assert run.returncode == 130
    assert "Traceback" not in written
    assert written.endswith("fer-edge: interrupted\n")
    for connection in (*stuck, reading):
        connection.close()


def test_a_client_that_never_reads_holds_up_nobody_and_the_end_neither(server: Server) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), dtype=np.uint8)  # large as JPEG
    stuck = [never_reads(server.port, "/stream.mjpg") for _ in range(3)]
    server.fed_by(lambda: server.feed(image=noise), times=1000, pause_s=0.01)
    after = ""
    for _ in range(10):
        found = server.get(f"/frame.jpg{after}")
        assert found.status == 200
        after = f"?after={found.headers['x-frame']}"
    assert server.get("/api/v1/status").json["viewers"] == 3
    server.stop()
    assert not server.dashboard.is_alive
    for connection in stuck:
        connection.close()


def test_a_client_that_never_reads_is_dropped_after_a_while(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.serve.web.streams.SEND_S", 0.3)
    server = serve()
    noise = np.random.default_rng(1).integers(0, 255, (960, 1280, 3), dtype=np.uint8)
    stuck = never_reads(server.port, "/stream.mjpg")
    server.fed_by(lambda: server.feed(image=noise), times=1000, pause_s=0.05)
    seen = set()
    deadline = time.monotonic() + 20
    while seen != {0, 1} and time.monotonic() < deadline:
        seen.add(server.get("/api/v1/status").json["viewers"])
        if 1 in seen and 0 not in seen:
            time.sleep(0.1)
        elif seen == {0}:
            seen = set()
    assert seen == {0, 1}
    stuck.close()


def test_a_jpeg_is_made_once_for_all_and_only_while_somebody_watches(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fer_edge.serve.web.live import hub

    made: list[int] = []
    encode = hub.encode

    def counted(image: Image, size: tuple[int, int] | None = None) -> Any:
        made.append(int(image[0, 0, 0]))
        return encode(image, size)

    monkeypatch.setattr(hub, "encode", counted)
    for _ in range(5):
        server.feed()
    assert made == []
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(server.get("/frame.jpg?after=4"))) for _ in range(10)]
    for client in clients:
        client.start()
    while len(server.dashboard._hub._mailboxes) < len(clients):
        time.sleep(0.01)
    server.feed(image=np.full((60, 80, 3), 77, np.uint8))
    for client in clients:
        client.join()
    assert [answer.headers["x-frame"] for answer in answers] == ["5"] * len(clients)
    assert len({answer.body for answer in answers}) == 1
    assert made == [77]


def test_a_picture_that_can_not_be_made_is_logged_once(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream = open_stream(server, "/api/v1/live")
    next(live(stream))
    monkeypatch.setattr("fer_edge.serve.web.live.hub.encode", Mock(side_effect=MemoryError("no memory left")))
    server.fed_by(server.feed)
    seen = [name for name, _, _ in itertools.islice(live(stream), 2)]
    stream.close()
    assert seen == ["status"] * 2  # it goes on
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "--serve: viewers get no picture: no memory left"
    ]


def test_no_more_than_ten_ticks_a_second_are_made_and_none_for_a_client_that_takes_nothing(
    monkeypatch: pytest.MonkeyPatch, make_result: Callable[..., Any]
) -> None:
    now = [1000.0]
    monkeypatch.setattr("fer_edge.serve.web.live.hub.time.monotonic", lambda: now[0])
    monkeypatch.setattr(Pace, "look", lambda _pace, _now: None)  # a test costs nothing but serving

    async def run() -> tuple[set[int], set[int]]:
        hub, reading, stuck = Hub(), set(), set()
        hub.attach(asyncio.get_running_loop())
        with hub.watch("result") as mailbox:
            for number in range(180):  # six seconds at 30 frames per second
                now[0] += 1 / 30
                hub.publish(None, make_result(number))
                await asyncio.sleep(0)
                tick = hub._tick
                if tick is not None:
                    (reading if number < 90 else stuck).add(tick.number)
                if number < 90:
                    mailbox.take()
        return reading, stuck

    reading, stuck = asyncio.run(run())
    assert len(reading) == 30
    assert len(stuck - reading) <= 1


def test_a_client_that_comes_with_an_interval_gets_it_once() -> None:
    async def run() -> list[str]:
        hub = Hub()
        hub.publish_interval("0")
        hub.attach(asyncio.get_running_loop())
        hub.publish_interval("1")  # as from the pipeline's thread: the event loop does not know it yet
        with hub.watch("result") as mailbox:
            first = list(hub.intervals)
            await asyncio.sleep(0)
            return first + [line for _, line in mailbox.take()[1]]

    assert asyncio.run(run()) == ["0", "1"]


def test_a_busy_client_still_gets_what_came_before_the_end(server: Server) -> None:
    async def run() -> bytes:
        hub = Hub()
        hub.attach(asyncio.get_running_loop())
        parts = Streams(hub, server.state, dict)._messages(lambda name, data, _: f"{name} {data};".encode(), "result")
        seen = await anext(parts)
        hub.publish_interval("9")
        await asyncio.sleep(0)
        hub.close()  # before the client asks for more
        return seen + b"".join([part async for part in parts])

    assert asyncio.run(run()) == b"status {};interval 9;status {};"


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_serving_that_costs_too_much_slows_down_and_recovers(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    used = {"process": 0.0, "thread": 0.0}
    monkeypatch.setattr("fer_edge.serve.web.live.pace.time.process_time", lambda: used["process"])
    monkeypatch.setattr("fer_edge.serve.web.live.pace.time.thread_time", lambda: used["thread"])
    pace = Pace()
    for second in range(8):
        used["process"] += 1.0
        used["thread"] += seconds / 4 * TICK_S / pace.interval_s  # half or all of what a tenth of a second may cost
        pace.look(float(second) * 1.01)
    slowed = pace.interval_s
    assert TICK_S < slowed < 1.0
    for second in range(8, 30):
        used["process"] += 1.0
        pace.look(float(second) * 1.01)
    assert pace.interval_s == TICK_S


def test_viewers_see_that_the_source_is_lost_and_comes_back(server: Server, fakes: Any) -> None:
    source = fakes.Source(3, live=True)
    pipeline = fakes.pipeline(source)
    server.state.begin(pipeline)
    stream = open_stream(server, "/api/v1/events")
    seen: list[str] = []
    for name, data in events(stream):
        if name == "status" and (not seen or data["state"] != seen[-1]):
            seen.append(data["state"])
            if data["state"] == "running" and len(seen) == 1:
                source.reconnecting = True
            elif data["state"] == "reconnecting":
                source.reconnecting = False
            else:
                break
    assert seen == ["running", "reconnecting", "running"]
    stream.close()
    fakes.finish(pipeline)


def test_the_end_of_the_run_is_the_last_event(server: Server, fakes: Any) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(1)))
    server.state.begin(pipeline)
    stream = open_stream(server, "/api/v1/events")
    server.state.end("end of source")
    server.stop()
    name, last = list(events(stream))[-1]
    assert (name, last["state"], last["exit_reason"]) == ("status", "ended", "end of source")


def test_frame_numbers_that_start_again_with_the_next_source_are_news(server: Server) -> None:
    for _ in range(3):
        server.feed()
    server.frames = 0  # the next source
    server.feed(t=0.0)
    assert server.get("/api/v1/result?after=2").json["frame"] == 0
    assert server.get("/frame.jpg?after=2").headers["x-frame"] == "0"


def test_a_clock_that_is_set_changes_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(TOKEN)
    found = server.request("POST", "/api/v1/login", f'{{"token": "{TOKEN}"}}')
    cookie = found.headers["set-cookie"].partition(";")[0]
    real = time.time
    for jump_s in (86_400.0, -3 * 86_400.0):
        monkeypatch.setattr(time, "time", lambda jump_s=jump_s: real() + jump_s)
        number = server.feed()
        assert server.get("/frame.jpg", Cookie=cookie).headers["x-frame"] == str(number)
        assert server.get("/api/v1/history", Cookie=cookie).json["count"] == [0]


def watched(server: Server, model: Path, image: Image, options: StreamOptions) -> None:
    """Run a pipeline over an image until the server's sink has a frame of it."""
    from fer_edge.detectors import open_detector
    from fer_edge.network.classifier import Classifier

    pipeline = Pipeline(
        IterableSource([image], 30.0), open_detector("luma"), Classifier(model),
        lambda frame, result: server.dashboard.sink.write(Published(result, frame)), options,
    )  # fmt: skip
    pipeline.start()
    assert pipeline.wait(20)
    pipeline.release()


def face_pixels(jpeg: bytes, box: tuple[float, float, float, float]) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    x, y, width, height = map(round, box)
    return np.asarray(image[y : y + height, x : x + width], dtype=np.uint8)


@pytest.mark.parametrize("blur", ["faces", "all"])
def test_hidden_faces_are_hidden_in_every_image(serve: Serve, model: Path, blur: str) -> None:
    image = np.asarray(draw_scene(2.0, (640, 480)))
    box = EmotionRecognizer(model).recognize(image)[0].box
    details = {}
    for mode in (None, blur):
        server = serve(blur=mode)
        watched(server, model, image, StreamOptions(blur=mode))
        jpegs = [server.get("/frame.jpg").body]
        stream = open_stream(server, "/stream.mjpg")
        stream.readline(), stream.readline()
        length = int(stream.readline().partition(b":")[2])
        stream.readline()
        jpegs.append(stream.read(length))
        stream.close()
        # Edges inside a face: a mosaic of 8x8 cells has few.
        inner = [face_pixels(jpeg, box)[20:-20, 20:-20] for jpeg in jpegs]
        details[mode] = [float(np.abs(cv2.Laplacian(pixels, cv2.CV_32F)).mean()) for pixels in inner]
        assert server.get("/api/v1/status").json["blur"] == mode
    for clear, hidden in zip(details[None], details[blur], strict=True):
        assert hidden < 0.5 * clear


def test_with_aggregate_nothing_about_a_single_face_leaves(serve: Serve, make_face: Callable[..., Face]) -> None:
    server = serve(aggregation=Aggregation(1, at_least=2))
    stream, shown = open_stream(server, "/api/v1/events"), open_stream(server, "/api/v1/live")
    for t in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0):  # one face, then two, one, none
        faces = [make_face(track_id=number) for number in range({0: 1, 1: 2, 2: 1, 3: 0}[int(t)])]
        server.feed(*faces, t=t)
    hidden = ("/frame.jpg", "/stream.mjpg", "/api/v1/result", "/api/v1/history", "/api/v1/recognize")
    answers = []
    for path in ("/api/v1/status", "/api/v1/intervals", "/metrics", "/api/v1/labels", *hidden):
        method = "POST" if path.endswith("recognize") else "GET"
        answers.append(server.request(method, path, Content_Type="image/png"))
        assert (answers[-1].status == 404) == (path in hidden)
    assert "see /api/v1/intervals" in answers[-1].json["error"]
    intervals = answers[1].json["intervals"]
    assert [(found["start_t"], found["withheld"]) for found in intervals] == [(0, True), (1, False), (2, True)]
    assert (intervals[1]["faces"], intervals[1]["emotions"]["happy"]["rows"]) == (2, 4)
    server.stop()
    told = list(events(stream))
    assert {name for name, _ in told} == {"status", "interval"}
    assert [data for name, data in told if name == "interval"][:3] == intervals
    seen = list(live(shown))
    assert [(name, data) for name, data, jpeg in seen if name == "interval" and jpeg is None][:3] == [
        ("interval", interval) for interval in intervals
    ]
    assert {name for name, _, _ in seen} == {"status", "interval"}
    written = json.dumps([told, seen]) + "".join(answer.body.decode() for answer in answers)
    for key in ('"id"', '"box"', '"confidence"', '"now"', '"score"', "track"):
        assert key not in written


def test_the_command_serves_counts_beside_aggregate(command: Command) -> None:
    done = command("--aggregate", "1s", "--at-least", "0", "--serve", "0", "--max-frames", "40")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--serve", "0.0.0.0:0"), "can be reached from other machines: set FER_EDGE_TOKEN or give --serve-token FILE"),
        (("--serve", "192.0.2.1:8080", "--serve-token", "{token}"), "192.0.2.1 is not an address of this machine"),
        (("--serve", "{taken}"), "is taken by another program: choose another port"),
        (("--serve", "nothing.invalid:80"), "the host nothing.invalid can't be used"),
        (("--serve", "0", "--serve-token", "missing"), "--serve-token missing can't be read"),
        (("--serve", "http://localhost:80"), "is not [HOST:]PORT, for example 8080 or 0.0.0.0:8080"),
        (("--serve", "65536"), "is not [HOST:]PORT"),
        (("--serve", ":80"), "is not [HOST:]PORT"),
        (("--serve", "0", "--serve-host", "http://x"), "is not a host name"),
        (("--serve-host", "cam.example"), "--serve-host is for --serve: give it, too"),
        (("--serve-token", "x"), "--serve-token is for --serve: give it, too"),
    ],
)
def test_what_can_not_be_served_ends_the_command_before_the_source_is_opened(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.delenv("FER_EDGE_TOKEN", raising=False)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        filled = [each.format(token=token, taken=taken.getsockname()[1]) for each in arguments]
        done = command(*filled, source=str(tmp_path / "missing.mp4"))
    error = done.exception
    assert sentence in (str(error) if done.exit_code == 1 else done.output)
    assert done.exit_code == 2 or getattr(error, "exit_code", None) == 2
    assert "missing.mp4" not in done.output


@pytest.mark.parametrize("arguments", [["demo:", "--serve", "0"], ["serve", "0"]])
def test_a_missing_package_is_named_with_its_extra(arguments: list[str]) -> None:
    code = "import sys\nsys.modules['uvicorn'] = None\nfrom fer_edge.__main__ import main\nmain()"
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert ran.stderr.endswith("needs the package uvicorn: pip install 'fer-edge[web]'\n")


def test_a_source_that_can_not_be_opened_frees_the_port(command: Command, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = command("--serve", str(port), source=str(tmp_path / "missing.mp4"))
    assert done.exit_code == 1
    assert "watch at" not in done.output
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_run_without_the_option_loads_nothing_of_it(model: Path) -> None:
    arguments = ["demo:320x240", "--headless", "--max-frames", "2", "--model", str(model)]
    code = (
        f"import sys\nfrom fer_edge.__main__ import main\nsys.argv = ['fer-edge', *{arguments!r}]\ntry:\n    main()\n"
    )
    code += "finally:\n    print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(ran.stdout.split())
    assert "fer_edge.pipeline.pipeline" in loaded
    wrong = ("starlette", "uvicorn", "h11", "asyncio", "fer_edge.serve.web", "fer_edge.serve.connections", "anyio")
    assert [name for name in loaded if name.startswith(wrong)] == []
