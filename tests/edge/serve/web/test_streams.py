"""Events, what the dashboard reads, and endless images."""

import http.client
import json
import math
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest

from fer_edge.results import Face
from fer_edge.serve.web.live.images import Picture
from fer_edge.serve.web.live.mailbox import PICTURE, RESULT, Mailbox, Tick
from fer_edge.serve.web.live.pace import Pace
from tests.edge.serve.web.conftest import Server

MakeFace = Callable[..., Face]


def open_stream(server: Server, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse()


def events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, json.loads(text.removeprefix("data: "))


def live(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any, bytes | None]]:
    """The events of /api/v1/live, with their pictures."""
    while line := response.readline():
        event = json.loads(line)
        picture = event.get("picture")
        yield event["event"], event["data"], None if picture is None else response.read(picture["bytes"])


def gray_image(level: int, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    return np.full((*size, 3), level, np.uint8)


def test_events_are_the_state_results_and_changes(server: Server, make_face: MakeFace) -> None:
    labels = iter(["happy"] * 20 + ["sad"] * 400)
    response = open_stream(server, "/api/v1/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    server.fed_by(lambda: server.feed(make_face(emotion=next(labels))))
    seen: dict[str, list[Any]] = {"status": [], "result": [], "change": []}
    for name, data in events(response):
        seen[name].append(data)
        if len(seen["change"]) == 2 and len(seen["status"]) == 2:
            break
    response.close()
    assert seen["status"][0]["viewers"] == 1
    assert [change["change"] for change in seen["change"]] == ["appeared", "changed"]
    assert (seen["change"][1]["before"], seen["change"][1]["emotion"]) == ("happy", "sad")
    numbers = [result["frame"] for result in seen["result"]]
    assert numbers == sorted(set(numbers))


def test_a_frame_has_the_number_of_a_result_event(server: Server, make_face: MakeFace) -> None:
    response = open_stream(server, "/api/v1/events")
    server.fed_by(lambda: server.feed(make_face()))
    frames = []
    after = ""
    for _ in range(3):
        found = server.get(f"/frame.jpg{after}")
        frames.append(int(found.headers["x-frame"]))
        after = f"?after={frames[-1]}"
    assert frames == sorted(set(frames))
    results = set()
    for name, data in events(response):
        results |= {data["frame"]} if name == "result" else set()
        if results >= set(frames) or max(results, default=0) > frames[-1]:
            break
    response.close()
    assert set(frames) <= results


def test_the_dashboard_gets_each_result_with_the_picture_of_its_frame(server: Server, make_face: MakeFace) -> None:
    labels = iter(["happy"] * 20 + ["sad"] * 400)
    response = open_stream(server, "/api/v1/live")
    server.fed_by(lambda: server.feed(make_face(emotion=next(labels)), image=gray_image(server.frames % 200)))
    seen: dict[str, list[Any]] = {"status": [], "result": [], "change": []}
    for name, data, jpeg in live(response):
        seen[name].append(data)
        assert (jpeg is not None) == (name == "result")
        if jpeg is not None:
            pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
            assert pixels.shape == (120, 160)
            assert abs(float(pixels.mean()) - data["frame"] % 200) < 2
        if len(seen["change"]) == 2 and len(seen["status"]) == 2:
            break
    response.close()
    assert seen["status"][0]["viewers"] == 1
    assert [change["change"] for change in seen["change"]] == ["appeared", "changed"]
    numbers = [result["frame"] for result in seen["result"]]
    assert len(numbers) > 1
    assert numbers == sorted(set(numbers))


def test_a_new_viewer_gets_the_newest_result_at_once(server: Server, make_face: MakeFace) -> None:
    server.feed(make_face(), image=gray_image(50, (1000, 2000)))
    response = open_stream(server, "/api/v1/live")
    (first, _, _), (second, data, jpeg) = next(events := live(response)), next(events)
    response.close()
    assert (first, second) == ("status", "result")
    assert (data["frame"], data["faces"][0]["emotion"]) == (0, "happy")
    assert jpeg is not None
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (640, 1280, 3)


def test_a_viewer_may_take_results_alone(server: Server) -> None:
    response = open_stream(server, "/api/v1/live?pictures=0")
    server.fed_by(server.feed)
    found = [next(events) for events in [live(response)] for _ in range(4)]
    response.close()
    assert [(name, jpeg) for name, _, jpeg in found] == [("status", None)] + [("result", None)] * 3


def test_a_run_that_is_watched_by_nobody_wakes_the_server_once_a_second(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    uvicorn_server = server.dashboard._server._server  # type: ignore[union-attr]
    looks: list[int] = []
    on_tick = uvicorn_server.on_tick

    async def counted(counter: int) -> bool:
        looks.append(counter)
        return bool(await on_tick(counter))

    monkeypatch.setattr(uvicorn_server, "on_tick", counted)
    began = time.monotonic()
    for _ in range(40):
        server.feed()
        time.sleep(0.01)
    assert len(looks) <= time.monotonic() - began + 1
    assert server.dashboard._hub._tick is None
    assert server.get("/api/v1/health").headers["date"].endswith(" GMT")


def a_tick(number: int, picture: Picture | None) -> Tick:
    return Tick(number, number / 10, "{}", picture)


def test_a_mailbox_takes_as_many_pictures_as_it_wants() -> None:
    taken = {}
    for rate in (math.inf, 10, 5, 1):
        mailbox = Mailbox(PICTURE, rate)
        taken[rate] = 0
        for number in range(50):  # five seconds; another client wants every picture
            mailbox.put(a_tick(number, Picture(b"", 1, 1)))
            tick, _, _ = mailbox.take()
            assert tick is not None
            assert tick.number == number
            taken[rate] += tick.picture is not None
    assert taken == {math.inf: 50, 10: 50, 5: 25, 1: 5}


def test_a_mailbox_asks_for_pictures_only_when_one_is_due() -> None:
    mailbox, asked = Mailbox(PICTURE, 2), []
    for number in range(11):
        needs = mailbox.needs(number / 10)
        asked.append(needs == PICTURE)
        assert needs in (PICTURE, RESULT)
        mailbox.put(a_tick(number, Picture(b"", 1, 1) if asked[-1] else None))
        assert mailbox.needs(number / 10) is None
        mailbox.take()
    assert [number for number, is_due in enumerate(asked) if is_due] == [0, 5, 10]


def test_a_slow_viewer_misses_pictures_and_does_not_lag(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pace, "is_due", lambda _pace, _now: True)
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), dtype=np.uint8)  # some 20 KB as JPEG
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = http.client.HTTPResponse(connection)
    response.begin()
    while server.dashboard._hub.viewers == 0:
        pass
    for _ in range(300):  # megabytes of pictures, which the network's buffers would hold
        server.feed(image=noise)
        time.sleep(0.001)
    late = 0
    server.fed_by(lambda: server.feed(image=noise))
    for _, data, jpeg in live(response):
        if jpeg is not None and data["frame"] >= 300:
            break
        late += jpeg is not None
    connection.close()
    assert 1 <= late < 15


def test_the_endless_image_has_boxes(server: Server, make_face: MakeFace) -> None:
    server.fed_by(lambda: server.feed(make_face(box=(40, 30, 60, 60)), image=np.zeros((120, 160, 3), np.uint8)))
    response = open_stream(server, "/stream.mjpg")
    boundary = response.headers["content-type"].partition("boundary=")[2]
    for _ in range(2):
        assert response.readline() == f"--{boundary}\r\n".encode()
        assert response.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(response.readline().partition(b":")[2])
        assert response.readline() == b"\r\n"
        pixels = cv2.imdecode(np.frombuffer(response.read(length), np.uint8), cv2.IMREAD_COLOR)
        assert response.readline() == b"\r\n"
        assert pixels.max() > 150
    response.close()


def test_open_streams_end_with_the_run(server: Server) -> None:
    streams = [open_stream(server, "/api/v1/events") for _ in range(3)]
    server.stop()
    for stream in streams:
        stream.read()  # to its end
