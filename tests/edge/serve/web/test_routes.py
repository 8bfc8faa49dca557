"""What each route answers."""

from collections.abc import Callable

import cv2
import numpy as np

from fer_edge.results import Face
from fer_edge.sinks.drawing.colors import EMOTION_COLORS
from tests.edge.serve.web.conftest import Server

MakeFace = Callable[..., Face]


def test_the_dashboard_and_its_files_come_from_a_fixed_list(server: Server) -> None:
    page = server.get("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    again = server.get("/", If_None_Match=page.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert server.get("/static/missing.js").status == 404


def test_the_state_names_the_network_its_limits_and_who_is_there(server: Server, make_face: MakeFace) -> None:
    server.feed(make_face(), make_face(emotion="sad", track_id=1))
    status = server.get("/api/v1/status").json
    assert status["state"] == "starting"  # no source is open
    assert status["now"] == {"faces": 2, "emotions": {"happy": 1, "sad": 1}}
    assert status["model"]["file"] == "tiny.onnx"
    assert status["model"]["labels"] == list(server.state.labels)
    assert status["viewers"] == 0
    assert status["limits"][0].startswith("A label says what a face looks like")


def test_every_label_has_the_color_of_the_drawings(server: Server) -> None:
    found = server.get("/api/v1/labels").json
    blue, green, red = EMOTION_COLORS["happy"]
    assert found["colors"]["happy"] == f"#{red:02x}{green:02x}{blue:02x}"
    assert list(found["colors"]) == found["labels"] == list(server.state.labels)


def test_the_first_result_is_waited_for_and_then_only_another_one(server: Server, make_face: MakeFace) -> None:
    server.fed_by(lambda: server.feed(make_face()))
    first = server.get("/api/v1/result").json
    assert first["faces"][0]["emotion"] == "happy"
    later = server.get(f"/api/v1/result?after={first['frame']}").json
    assert later["frame"] > first["frame"]


def test_without_any_result_a_request_ends_and_says_when_to_try_again(server: Server, monkeypatch) -> None:
    monkeypatch.setattr("fer_edge.serve.web.api.RESULT_S", 0.2)
    found = server.get("/api/v1/result")
    assert (found.status, found.headers["retry-after"]) == (503, "1")
    assert found.json["error"].startswith("no result came")


def test_an_image_is_the_newest_frame_even_if_nobody_watched_before(server: Server) -> None:
    server.feed()
    number = server.feed(image=np.full((60, 80, 3), (0, 0, 255), np.uint8))
    found = server.get("/frame.jpg")
    assert (found.status, found.headers["x-frame"], found.headers["x-size"]) == (200, str(number), "80x60")
    assert found.headers["cache-control"] == "no-store"
    pixels = cv2.imdecode(np.frombuffer(found.body, np.uint8), cv2.IMREAD_COLOR)
    assert abs(int(pixels[30, 40, 2]) - 255) < 8


def test_an_image_that_does_not_come_is_no_content(server: Server, monkeypatch) -> None:
    monkeypatch.setattr("fer_edge.serve.web.streams.FRAME_S", 0.2)
    assert server.get("/frame.jpg").status == 204
    number = server.feed()
    assert server.get(f"/frame.jpg?after={number}").status == 204


def test_a_wide_frame_is_downscaled_and_its_size_is_named(server: Server) -> None:
    server.feed(image=np.zeros((100, 2560), np.uint8))
    found = server.get("/frame.jpg")
    assert found.headers["x-size"] == "2560x100"
    assert cv2.imdecode(np.frombuffer(found.body, np.uint8), cv2.IMREAD_UNCHANGED).shape[:2] == (50, 1280)


def test_the_report_is_that_of_the_run(server: Server) -> None:
    server.report["frames"] = {"captured": 3}
    assert server.get("/api/v1/report").json == {"schema": 1, "frames": {"captured": 3}}


def test_the_history_has_a_label_per_face_and_second(server: Server, make_face: MakeFace) -> None:
    for t, emotion in ((0.0, "happy"), (0.5, "sad"), (2.0, "sad")):
        server.feed(make_face(emotion=emotion), t=t)
    found = server.get("/api/v1/history?seconds=3").json
    assert found["faces"] == {"0": ["sad", None, "sad"]}
    assert found["group"] == [{"happy": 0.5, "sad": 0.5}, None, {"sad": 1.0}]
    assert (found["from_t"], found["step_s"], found["count"]) == (0, 1, [1, None, 1])


def test_wrong_parameters_paths_and_methods_say_what_is_right(server: Server) -> None:
    for path in ("/api/v1/result?after=x", "/api/v1/history?seconds=0", "/api/v1/history?seconds=601"):
        found = server.get(path)
        assert found.status == 400
        assert "whole number" in found.json["error"]
    for path in ("/nothing", "/api/v1/status/"):
        found = server.get(path)
        assert (found.status, found.json["error"]) == (404, "there is no such path: see /api/v1/openapi.json")
    assert server.request("POST", "/api/v1/status").status == 405
