"""Names of local files in the forms that people give them: file:// URLs and ~."""

import os
import re

from fer_edge.errors import SourceError
from fer_edge.guards import portable

MAX_NAME_BYTES = 255  # of Linux's and macOS's file systems
# Compiled when they are needed, as few words are.
HOME = r"(--[\w-]+=)?(~(?:[^/\\]*[/\\].*)?)"
FILE_URL = r"file:(?://([^/]*))?(/.*)"
DRIVE = r"/[A-Za-z][:|](?=/)"  # of file:///C:/videos/film.mp4


def expand_home(word: str) -> str:
    """A word of the command line with the ~ or ~user/ that starts it, or its value, made the home folder.

    A shell leaves ~ as it is behind a =, as in --json=~/faces.jsonl, and a folder "~" would be made.
    """
    found = re.fullmatch(HOME, word, re.DOTALL) if "~" in word else None
    if found is None:
        return word
    return (found[1] or "") + os.path.expanduser(found[2])  # noqa: PTH111 - pathlib takes 10 ms to import


def utf8_name(path: str | os.PathLike[str]) -> str | None:
    """The bytes of a path as UTF-8 text, whatever the locale makes of them; None if they are none."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeError:
        return None


def fitting(stem: str, suffix: str) -> str:
    """A file's name from a stem and a suffix, the stem shortened where both have more bytes than a name may have.

    >>> fitting("photo", ".png"), len(fitting(300 * "x", ".png"))
    ('photo.png', 255)
    """
    while len(os.fsencode(stem + suffix)) > MAX_NAME_BYTES and stem:
        stem = stem[:-1].rstrip(".")
    return stem + suffix


def local_name(source: str) -> str:
    """The path that a file:// URL or a name with ~ means; every other source as it is.

    SourceError for a file:// URL of another machine.

    >>> local_name("file:///videos/my%20film.mp4"), local_name("demo:")
    ('/videos/my film.mp4', 'demo:')
    """
    if not os.path.lexists(source):
        source = expand_home(source)
    found = re.fullmatch(FILE_URL, source, re.IGNORECASE | re.DOTALL) if ":" in source else None
    if found is None:
        return source
    host, path = found.groups()
    if (host or "").lower() not in ("", "localhost", "127.0.0.1"):
        raise SourceError(f"file://{host}/ is a file of another machine: give its path on this one")
    if portable.HAS_DRIVES and re.match(DRIVE, path):
        path = f"{path[1]}:{path[3:]}"
    from urllib.parse import unquote_to_bytes

    decoded = os.fsdecode(unquote_to_bytes(path.encode("utf-8", "surrogateescape")))
    return path if os.path.lexists(path) and not os.path.lexists(decoded) else decoded
