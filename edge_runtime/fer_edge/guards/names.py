"""Names of local files in the forms that people give them: file:// URLs and ~."""

import os
import re
from urllib.parse import unquote_to_bytes

from fer_edge.errors import SourceError

FILE_URL = re.compile(r"file:(?://([^/]*))?(/.*)", re.IGNORECASE | re.DOTALL)


def local_name(source: str) -> str:
    """The path that a file:// URL or a name with ~ means; every other source as it is.

    SourceError for a file:// URL of another machine.

    >>> local_name("file:///videos/my%20film.mp4"), local_name("demo:")
    ('/videos/my film.mp4', 'demo:')
    """
    if re.match(r"~[^/]*(?:/|$)", source) and not os.path.lexists(source):
        return os.path.expanduser(source)  # noqa: PTH111 - pathlib takes 10 ms to import
    found = FILE_URL.fullmatch(source)
    if found is None:
        return source
    host, path = found.groups()
    if (host or "").lower() not in ("", "localhost", "127.0.0.1"):
        raise SourceError(f"file://{host}/ is a file of another machine: give its path on this one")
    decoded = os.fsdecode(unquote_to_bytes(path.encode("utf-8", "surrogateescape")))
    return path if os.path.lexists(path) and not os.path.lexists(decoded) else decoded
