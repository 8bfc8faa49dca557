"""Video4Linux2 cameras: list them, see which process uses one, and take the luma from their frames."""

import contextlib
import errno
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.opencv import cv2

# From linux/videodev2.h: _IOWR('V', 8, struct v4l2_requestbuffers), with the fields count, type, memory, capabilities,
# flags and three reserved bytes.
VIDIOC_REQBUFS = 0xC0145608
NO_BUFFERS = struct.pack("=IIIIB3x", 0, 1, 1, 0, 0)  # type 1: video capture, memory 1: mmap
UNLISTED = "only Linux lists its cameras: try fer-edge --camera 0, then 1"
PLANAR = {"YU12", "YV12", "NV12", "NV21"}  # formats that store the rows of luma first


def can_list_cameras() -> bool:
    """True on Linux, whose kernel lists the cameras."""
    return sys.platform == "linux"


def list_cameras() -> list[tuple[int, str]]:
    """Number and name of every camera that the Linux kernel lists, ordered by number; opens nothing."""
    found = []
    for entry in Path("/sys/class/video4linux").glob("video*"):
        try:
            name = (entry / "name").read_text(encoding="utf-8").strip()
            is_capture = (entry / "index").read_text(encoding="utf-8").strip() == "0"
        except OSError:
            continue
        if is_capture:  # further indices are metadata of the same camera
            found.append((int(entry.name.removeprefix("video")), name))
    return sorted(found)


def check_free(device: Path, name: str) -> None:
    """Raise SourceError if another program streams from `device`.

    The kernel answers a request for zero buffers with EBUSY if another process holds buffers. Without this check OpenCV
    would wait, for some cameras half a minute. OpenCV reports a device that is not a camera.
    """
    import fcntl  # Linux only, as V4L2 is

    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EACCES:
            raise SourceError(
                f"{name} can't be opened without permission: sudo usermod -aG video $USER, then log in again"
            ) from error
        return
    try:
        fcntl.ioctl(descriptor, VIDIOC_REQBUFS, NO_BUFFERS)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise SourceError(
                f"{name} is in use{_user_of(device)}: end that program, or name another camera"
            ) from error
    finally:
        os.close(descriptor)


def _user_of(device: Path) -> str:
    """ " by PROGRAM (process N)" for the program that has `device` open; "" if it is not visible to us."""
    wanted = os.path.realpath(device)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            if int(process.name) != os.getpid() and any(
                os.path.realpath(handle) == wanted for handle in (process / "fd").iterdir()
            ):
                program = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f" by {program} (process {process.name})"
    return ""


def luma_decoder(fourcc: str, rows: int) -> Callable[[Image], Image | None] | None:
    """A function from a raw camera frame to its luma, uint8 [rows, W]; None for a format that stores no luma.

    fourcc: the pixel format's V4L2 code. Of a JPEG only the luma is decoded, which saves upsampling and converting
    the chroma. The function returns None for a frame that can't be decoded.
    """
    if fourcc in ("MJPG", "JPEG"):
        return _jpeg_luma
    if fourcc == "GREY":
        return lambda frame: frame
    if fourcc in PLANAR:
        return lambda frame: frame[:rows]
    if fourcc in ("YUYV", "UYVY"):
        channel = fourcc.index("Y")
        return lambda frame: np.ascontiguousarray(frame[:, :, channel])
    return None


def _jpeg_luma(frame: Image) -> Image | None:
    if not frame.size:
        return None
    luma = cv2.imdecode(frame.ravel(), cv2.IMREAD_GRAYSCALE)
    return None if luma is None else np.asarray(luma, dtype=np.uint8)
