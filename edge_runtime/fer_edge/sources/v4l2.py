"""What Linux tells of its cameras (Video4Linux2): which there are, who uses one, and how their frames hold the luma."""

import contextlib
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.opencv import cv2

# From linux/videodev2.h: _IOWR('V', 8, struct v4l2_requestbuffers), whose fields are count, type, memory,
# capabilities, flags and three reserved bytes.
VIDIOC_REQBUFS = 0xC0145608
NO_BUFFERS = struct.pack("=IIIIB3x", 0, 1, 1, 0, 0)  # type 1: video capture, memory 1: mmap
PLANAR = {"YU12", "YV12", "NV12", "NV21"}  # the luma's rows come first


def list_cameras() -> list[tuple[int, str]]:
    """Number and name of every camera that the kernel knows (Linux), ordered by number; nothing is opened."""
    found = []
    for entry in Path("/sys/class/video4linux").glob("video*"):
        try:
            name = (entry / "name").read_text(encoding="utf-8").strip()
            is_capture = (entry / "index").read_text(encoding="utf-8").strip() == "0"
        except OSError:
            continue
        if is_capture:  # further indices are the same camera's metadata
            found.append((int(entry.name.removeprefix("video")), name))
    return sorted(found)


def check_free(device: Path, name: str) -> None:
    """Raise SourceError if another program streams from `device`.

    Giving back no buffers at all is refused with EBUSY to all but the one who has some. Without this OpenCV
    would wait, for some cameras half a minute. What is no camera is left to OpenCV.
    """
    import fcntl  # Linux alone has cameras of this kind

    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EACCES:
            raise SourceError(f"{name} must not be opened: sudo usermod -aG video $USER, then log in again") from error
        return
    try:
        fcntl.ioctl(descriptor, VIDIOC_REQBUFS, NO_BUFFERS)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise SourceError(f"{name} is in use{_by_whom(device)}: end that, or name another camera") from error
    finally:
        os.close(descriptor)


def _by_whom(device: Path) -> str:
    """The program that has `device` open, if we may know; "" otherwise."""
    wanted = os.path.realpath(device)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if int(process.name) != os.getpid() and any(
                os.path.realpath(handle) == wanted for handle in (process / "fd").iterdir()
            ):
                program = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f" by {program} (process {process.name})"
    return ""


def luma_decoder(letters: str, rows: int) -> Callable[[Image], Image | None] | None:
    """What makes uint8 [rows, W] grey of a frame as the camera sends it; None for a format without luma of its own.

    letters: the pixel format's four, as V4L2 has them. A JPEG's luma is decoded alone, which spares the colours'
    upsampling and conversion. The result is None where a frame can't be decoded.
    """
    if letters in ("MJPG", "JPEG"):
        return _luma_of_jpeg
    if letters == "GREY":
        return lambda frame: frame
    if letters in PLANAR:
        return lambda frame: frame[:rows]
    if letters in ("YUYV", "UYVY"):
        channel = letters.index("Y")
        return lambda frame: np.ascontiguousarray(frame[:, :, channel])
    return None


def _luma_of_jpeg(frame: Image) -> Image | None:
    if not frame.size:
        return None
    luma = cv2.imdecode(frame.ravel(), cv2.IMREAD_GRAYSCALE)
    return None if luma is None else np.asarray(luma, dtype=np.uint8)
