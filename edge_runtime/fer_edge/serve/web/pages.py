"""The dashboard's files, from memory: only what the folder `static` held at the start."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from fer_edge.serve.web.answers import Refusal

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8",
    ".json": "application/json", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}  # fmt: skip


class Pages:
    """The routes of the dashboard's files. They are asked for again each time, and not sent again if unchanged."""

    def __init__(self) -> None:
        paths = sorted(path for path in STATIC.rglob("*") if path.is_file() and path.suffix in TYPES)
        self._files = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in paths}
        self._tags = {name: f'"{hashlib.sha256(content).hexdigest()[:16]}"' for name, content in self._files.items()}

    async def index(self, request: Request) -> Response:
        """The dashboard."""
        return self._file(INDEX, request)

    async def static(self, request: Request) -> Response:
        """A file that the dashboard loads."""
        return self._file(request.path_params["name"], request)

    def _file(self, name: str, request: Request) -> Response:
        if name not in self._files:
            raise Refusal(404, "there is no such file")
        headers = {"ETag": self._tags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(self._files[name], headers=headers, media_type=TYPES[Path(name).suffix])
