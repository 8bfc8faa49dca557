"""openapi.json names exactly the paths that are served, and real answers fit its schemas."""

import json
from collections.abc import Callable
from typing import Any

import cv2
import jsonschema
import pytest
from starlette.routing import Route

from fer_edge.framing import Image
from fer_edge.privacy.modes import Aggregation
from fer_edge.results import Face
from fer_edge.serve.web.api import OPENAPI
from tests.edge.serve.web.conftest import TOKEN, Server

DOCUMENT: dict[str, Any] = json.loads(OPENAPI.read_text(encoding="utf-8"))


def served(server: Server) -> dict[str, set[str]]:
    """The methods of each path, as the application has them."""
    found = {}
    app: Any = server.dashboard._server._server.config.app  # type: ignore[union-attr]
    for route in app._app.routes:
        assert isinstance(route, Route)
        path = route.path.replace(":path}", "}")
        found[path] = {method.lower() for method in route.methods or ()} - {"head"}
    return found


@pytest.mark.parametrize("state", [{}, {"camera": False}, {"aggregation": Aggregation(60)}])
def test_the_paths_are_those_of_the_routes(serve: Callable[..., Server], state: dict[str, Any]) -> None:
    methods = {"get", "post", "put", "delete", "patch"}
    described = {path: methods & set(item) for path, item in DOCUMENT["paths"].items()}
    assert described == served(serve(**state))


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in references(DOCUMENT):
        node: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/frame.jpg?after=x", b""),
        ("GET", "/api/v1/result?after=x", b""),
        ("GET", "/api/v1/live?pictures=11", b""),
        ("GET", "/api/v1/history?seconds=0", b""),
        ("GET", "/api/v1/intervals", b""),
        ("POST", "/api/v1/login", b"{}"),
        ("POST", "/api/v1/login", bytes(20_000)),
        ("POST", "/api/v1/recognize", b"GIF89a"),
    ],
)
def test_what_a_route_refuses_is_described(shared: Server, method: str, path: str, body: bytes) -> None:
    status = shared.request(method, path, body).status
    assert status >= 400
    assert str(status) in DOCUMENT["paths"][path.partition("?")[0]][method.lower()]["responses"]


def fits(value: Any, name: str) -> None:
    """`value` fits the schema `name`, and the schema names all its keys."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": closed(DOCUMENT["components"])}
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)


def closed(node: Any) -> Any:
    """A schema that allows no other keys than those it names."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {key: closed(value) for key, value in node.items()}
    if node.get("type") == "object" and "properties" in node:
        strict["additionalProperties"] = False
    return strict


def test_answers_fit_their_schemas(server: Server, make_face: Callable[..., Face], face_image: Image) -> None:
    server.feed(make_face())
    server.feed(make_face(emotion="sad"), t=2.0)
    for path, name in {"status": "Status", "labels": "Labels", "result": "Result", "history": "History",
                       "health": "Ok", "nothing": "Error"}.items():  # fmt: skip
        fits(server.get(f"/api/v1/{path}").json, name)
    image = cv2.imencode(".jpg", face_image)[1].tobytes()
    fits(server.request("POST", "/api/v1/recognize", image, Content_Type="image/jpeg").json, "Recognized")
    found = server.get("/api/v1/openapi.json").json
    assert found["openapi"].startswith("3.1")
    assert found["info"]["version"] != DOCUMENT["info"]["version"]
    metrics = server.get("/metrics")
    assert metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert metrics.body.endswith(b"# EOF\n")


def test_answers_with_aggregate_fit_their_schemas(serve: Callable[..., Server], make_face: Callable[..., Face]) -> None:
    server = serve(aggregation=Aggregation(1, at_least=1))
    for t in (0.0, 0.5, 1.0, 2.0):
        server.feed(make_face(), t=t)
    fits(server.get("/api/v1/status").json, "Status")
    fits(server.get("/api/v1/intervals").json, "Intervals")


def test_what_is_open_without_a_token_is_described_so(serve: Callable[..., Server]) -> None:
    server = serve(token=TOKEN)
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            body = b"{}" if method == "post" else None
            status = server.request(method.upper(), path.replace("{name}", "x"), body).status
            assert (status != 401) == (operation.get("security") == []), path
