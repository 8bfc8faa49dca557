"""What C libraries print while they decode: kept from our stderr, and looked at.

libpng, libjpeg and OpenCV write warnings to C's stderr, whatever OpenCV's log level says. With glibc that is a variable
that all of them read, so another stream can take its place for a while. Python and C++ have streams of their own, which
are not touched. With other C libraries nothing is kept.
"""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator

_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_UNBUFFERED = 2  # _IONBF: what a library prints arrives in its own thread
MAX_CHARS = 10_000  # of one call's messages

_lock = threading.Lock()
_users = 0
_own: int | None = None  # C's stderr outside all blocks
_heard = threading.local()


class _Functions(ctypes.Structure):
    """glibc's cookie_io_functions_t."""

    _fields_ = (("read", ctypes.c_void_p), ("write", _FUNCTION), ("seek", ctypes.c_void_p), ("close", ctypes.c_void_p))


@contextlib.contextmanager
def library_messages() -> Iterator[Callable[[], str]]:
    """Keep what C libraries print in the block; the value returns what this thread's calls have printed so far."""
    with contextlib.ExitStack() as stack:
        _heard.text = ""
        if _stream is not None:
            stack.enter_context(_replaced(_stream))
        yield lambda: str(_heard.text)


@contextlib.contextmanager
def _replaced(stream: int) -> Iterator[None]:
    global _users, _own
    with _lock:
        if not _users:
            _own, _stderr.value = _stderr.value, stream
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _stderr.value = _own


def _write(_cookie: int, data: int, size: int) -> int:
    said = getattr(_heard, "text", "")
    _heard.text = (said + ctypes.string_at(data, size).decode("ascii", "replace"))[:MAX_CHARS]
    return size


def _open_stream() -> int | None:
    """A C stream that hands on what is printed to `_write`; None if this C library has no such streams."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - elsewhere, stderr may be a constant
        library.fopencookie.restype = ctypes.c_void_p
        library.fopencookie.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Functions]
        stream = library.fopencookie(None, b"w", _functions)
        library.setvbuf(ctypes.c_void_p(stream), None, _UNBUFFERED, ctypes.c_size_t(0))
    except (AttributeError, OSError, TypeError):  # Windows
        return None
    return stream if isinstance(stream, int) else None


_functions = _Functions(None, _FUNCTION(_write), None, None)
_stream = _open_stream()
_stderr = ctypes.c_void_p() if _stream is None else ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
