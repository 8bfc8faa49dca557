"""Events and endless images."""

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from fer_edge.results import Face
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
