"""Keep secrets of addresses (user names, passwords, tokens) out of everything that is shown or stored.

What may be a secret is hidden, even if it is none: of a URL only the scheme, the host and the port stay.
"""

import os
import re
import stat
from pathlib import Path

from fer_edge.errors import FerError, SourceError
from fer_edge.guards import portable

SOURCE_VARIABLE = "FER_EDGE_SOURCE"
HIDDEN = "***"
MAX_SECRET_BYTES = 8192  # of a file that holds a source or a token; no longer one is used
SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+"
HOST = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
URL = re.compile(rf"({SCHEME}):(//?)(.*)", re.ASCII | re.DOTALL)
FILE_URLS = ("file:///", "sqlite:///")  # they name files; there is no host and no password
# An address without "://", such as user:password@host, host:80/token or host/video?token=1.
ADDRESS = re.compile(r"@|%40|^[^/\\\s]+:\d+/|[?;#&][^/\\]*=", re.IGNORECASE)
URL_IN_TEXT = rf"{SCHEME}:/[^\s'\"<>]*[^\s'\"<>:,.;!)\]}}]|[^\s'\"<>:]+:[^\s'\"<>]*@[^\s'\"<>]+"


def redact(url: str) -> str:
    """`url` without what may be secret: user, password, path, query, fragment and whatever is no plain host.

    A path may be a token. A password may hold any character: where it can't be told from the host, both are hidden.

    >>> redact("rtsp://admin:secret@192.0.2.10:554/stream?token=1")
    'rtsp://***@192.0.2.10:554/***'
    >>> redact("rtsp://admin:sec/ret@192.0.2.10/")
    'rtsp://***'
    """
    found = URL.fullmatch(url)
    if found is None:
        return HIDDEN
    scheme, slashes, rest = found.groups()
    authority = re.split(r"[/?#;\\]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    user, at, host = authority.rpartition("@")
    if slashes != "//" or "@" in path or "%40" in path or not HOST.fullmatch(host):
        return f"{scheme}:{slashes}{HIDDEN}"
    hidden_path = path if path in ("", "/") else f"/{HIDDEN}"
    return f"{scheme}://{HIDDEN + at if user or at else ''}{host}{hidden_path}"


def shown_source(source: str) -> str:
    """The name of a source, as the user gave it, for messages and results.

    Names of files stay. One that looks like an address, and that no file has, is hidden.

    >>> shown_source("holiday.mp4"), shown_source("admin:secret@192.0.2.10/stream")
    ('holiday.mp4', '***')
    """
    if "://" not in source and os.path.lexists(source):
        return source
    if "://" in source or re.match(rf"{SCHEME}:/", source, re.ASCII):
        return source if source.startswith(FILE_URLS) else redact(source)
    return HIDDEN if ADDRESS.search(source) else source


def redact_text(text: str) -> str:
    """A message with every address in it redacted; the last door, for messages that others wrote.

    >>> redact_text("can't open 'http://a:b@host/x' or c:d@host")
    "can't open 'http://***@host/***' or ***"
    """
    if ":/" not in text and "@" not in text:
        return text
    return re.sub(URL_IN_TEXT, lambda found: shown_source(found[0]), text, flags=re.ASCII)


def given_source(option: str | None) -> str | None:
    """The source that --source or, without it, FER_EDGE_SOURCE names; None for neither.

    `@FILE` is read from a file, so that it shows neither on the command line nor in the environment. Raises SourceError
    if the file can't be used.
    """
    if option is None:
        name, value = SOURCE_VARIABLE, os.environ.get(SOURCE_VARIABLE)
    else:
        name, value = "--source", option
    if value is None or not value.startswith("@"):
        return value or (None if option is None else value)
    return read_secret(Path(value[1:]), f"{name} @{value[1:]}", "the source", SourceError)


def read_secret(path: Path, where: str, what: str, fault: type[FerError]) -> str:
    """The one line of a file that holds a secret, without its end.

    where: the option and its file, as messages name them. what: the secret's name in messages. Raises `fault` if the
    file can't be read, holds something else, or can be changed by every user.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise fault(f"{where} is not a file: name a file with one line, {what}")
            if portable.HAS_PERMISSIONS and mode & stat.S_IWOTH:
                raise fault(f"{where} can be changed by every user: chmod 600 it")
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not a valid file name"
        raise fault(f"{where} can't be read: {reason}") from error
    try:
        lines = content.decode("utf-8-sig").strip().splitlines()
    except UnicodeDecodeError:
        lines = ["", ""]
    if not lines:
        raise fault(f"{where} is empty: write {what} into it, as one line")
    if len(lines) > 1 or len(content) > MAX_SECRET_BYTES or "\0" in lines[0]:
        raise fault(f"{where} is not one line of text: write only {what} into it")
    return lines[0]


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | portable.O_NONBLOCK | portable.O_CLOEXEC)  # a FIFO would wait for its writer
