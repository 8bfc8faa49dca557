"""The only module that imports cv2: with its logs off, and with a one-line error if it can't be loaded.

cv2 is imported when `from fer_edge.opencv import cv2` first asks for it. Its library has 70 MB, and to link it takes as
long as half of Python's own start: `load_early` lets a thread do that while Python imports other modules.
"""

import contextlib
import os
import sys

from fer_edge.errors import FerError
from fer_edge.guards.shortages import shortage

TYPE_CHECKING = False  # see fer_edge/__init__.py
if TYPE_CHECKING:
    import cv2

# OpenCV and FFmpeg write to the C stderr, thousands of lines for some streams. Both read these variables when they are
# loaded; a user who wants the logs sets them before.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
# How many packets of sound, or damaged ones, may come between two frames. OpenCV's 4,096 are 100 s of sound, after
# which a film would seem to end.
os.environ.setdefault("OPENCV_FFMPEG_READ_ATTEMPTS", "10000000")

__all__ = ["cv2", "load_early"]

LIBRARIES = "on Debian and Raspberry Pi OS, sudo apt-get install libgl1 libglib2.0-0"
REINSTALL = "pip install --force-reinstall opencv-python"
ABSENT = f"OpenCV is not installed, or another OpenCV package took its files along when it was removed: {REINSTALL}"


def __getattr__(name: str) -> object:
    if name != "cv2":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import cv2
    except ImportError as error:
        if (cause := shortage(error)) is not None:
            raise FerError(f"OpenCV can't be loaded: {cause}") from error
        if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
            raise FerError(ABSENT) from error
        of_system = "shared object" in str(error)
        raise FerError(f"OpenCV can't be loaded ({error}): {LIBRARIES if of_system else REINSTALL}") from error
    if getattr(cv2, "__file__", None) is None:  # a folder with what was left of it
        raise FerError(ABSENT)
    globals()["cv2"] = cv2
    return cv2


def load_early() -> None:
    """Let a thread link the libraries of OpenCV and OpenSSL, so that their imports find them ready. On Linux only.

    Python links libraries while it holds its lock, so an import of cv2 in a thread would only stop the other imports. A
    function called through ctypes does not hold it. Faults are left to the import.
    """
    if sys.platform == "linux" and "cv2" not in sys.modules:
        import _thread  # threading takes longer, and this thread is never joined

        with contextlib.suppress(RuntimeError):  # no thread is left
            _thread.start_new_thread(_link, ())


def _link() -> None:
    with contextlib.suppress(Exception):
        import ctypes  # numpy imports it, too
        from importlib.machinery import PathFinder

        link = ctypes.CDLL(None).dlopen
        for module in ("cv2", "_hashlib"):  # and OpenSSL, which checks the shipped networks
            found = PathFinder.find_spec(module)
            if found is not None and found.origin:
                for file in _libraries(module, found.origin):
                    link(os.fsencode(file), os.RTLD_NOW)


def _libraries(module: str, origin: str) -> list[str]:
    """The libraries of a module with the file `origin`: a library itself, or a package that holds one of its name."""
    if origin.endswith(".so"):
        return [origin]
    folder = os.path.dirname(origin)  # noqa: PTH120 - pathlib takes longer
    names = os.listdir(folder)  # noqa: PTH208
    return [f"{folder}/{name}" for name in names if name.startswith(f"{module}.") and name.endswith(".so")]
