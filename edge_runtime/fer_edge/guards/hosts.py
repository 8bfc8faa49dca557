"""Where a camera or server may lead: only to its own host and port, unless the user allows more.

Redirects and playlists name addresses. Followed blindly, they would let a camera reach whatever this machine reaches.
"""

import os
from urllib.parse import SplitResult, urlsplit

ALLOW_VARIABLE = "FER_EDGE_ALLOW_HOSTS"
PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
STEPS = {("http", "https"), ("rtsp", "rtsps")}  # from one scheme to another that is as safe or safer


def refusal(before: str, after: str) -> str | None:
    """Why a server at the URL `before` may not lead to the URL `after`, in words; None if it may.

    Another path of the same host and port is followed, and so is the step from the usual port of http to that of https.
    FER_EDGE_ALLOW_HOSTS names more: hosts, or host:port, with commas between them. No step leads from https to http.

    >>> refusal("http://camera/a", "http://camera/b"), refusal("http://camera", "https://camera/")
    (None, None)
    >>> refusal("http://camera/a", "http://192.0.2.9:8080/")
    'it leads to 192.0.2.9:8080: name that address itself, or set FER_EDGE_ALLOW_HOSTS=192.0.2.9:8080'
    """
    try:
        old, new = urlsplit(before), urlsplit(after)
        old_port, new_port = _port(old), _port(new)
    except ValueError:
        return "it leads to an address that can't be read"
    if old.scheme != new.scheme and (old.scheme, new.scheme) not in STEPS:
        return f"it leads from {old.scheme} to {new.scheme[:20] or 'a file'}, which is not followed"
    if new.hostname is None or new_port is None:
        return "it leads to an address that can't be read"
    usual = old_port == PORTS.get(old.scheme) and new_port == PORTS.get(new.scheme)
    if _host(old) == _host(new) and (old_port == new_port or usual):
        return None
    host = f"[{_host(new)}]" if ":" in _host(new) else _host(new)
    address = f"{host}:{new_port}"
    if not {host, address}.isdisjoint(_allowed()):
        return None
    return f"it leads to {address}: name that address itself, or set {ALLOW_VARIABLE}={address}"


def _allowed() -> set[str]:
    return {entry.strip().lower() for entry in os.environ.get(ALLOW_VARIABLE, "").split(",")}


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").lower().rstrip(".")


def _port(parts: SplitResult) -> int | None:
    return parts.port or PORTS.get(parts.scheme)
