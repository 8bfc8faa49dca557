"""The `ffmpeg` program: H.264 from raw frames, and the sound of a source video.

Signals that end a run must not end ffmpeg, because a file is only playable once ffmpeg has completed it. It runs in
its own session, and SIGINT, SIGTERM and SIGHUP are blocked in it: systemd and terminals send them to every process. It
ends when its input does, even if this process is killed.
"""

import contextlib
import errno
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from fer_edge.errors import OutputError
from fer_edge.files import temporary_file
from fer_edge.framing import Image
from fer_edge.guards.portable import NEW_PROCESS_GROUP, SIGHUP
from fer_edge.opencv import cv2
from fer_edge.system import usable_cores

PROGRAM = "ffmpeg"
INSTALL = "install ffmpeg (on Debian and Raspberry Pi OS: sudo apt-get install ffmpeg)"
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}  # that get H.264
SOUND_FORMATS = FORMATS | {".webm": "webm"}
FASTSTART = ("mp4", "mov")  # formats whose index stands at the end unless it is moved
PREFERRED = ("libx264", "libopenh264")  # before hardware encoders, which may be listed without the hardware
PRESET = "superfast"  # measured by benchmarks.speed.video_out
NICENESS = 5  # the pipeline comes first
PIPE_BYTES = 1 << 20
CHECK_TIMEOUT_S = 20.0
END_TIMEOUT_S = 5.0
# In ffmpeg's messages, of releases 4 to 7.
DISK_FULL = re.compile("|".join(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT)))
WRITE_ERROR = re.compile(rf"Error (?:closing|writing|muxing)|av_interleaved_write_frame|{DISK_FULL.pattern}")
SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, SIGHUP)))


def find_ffmpeg() -> str | None:
    """Path of the program, or None."""
    return shutil.which(PROGRAM)


def h264_encoder(program: str) -> str | None:
    """Name of an H.264 encoder that works in this ffmpeg, or None. libx264 if it is there."""
    return _h264_encoder(program, Path(program).stat().st_mtime_ns)


@functools.cache
def _h264_encoder(program: str, _mtime_ns: int) -> str | None:
    ran = _run(program, ["-hide_banner", "-encoders"])
    found = re.findall(r"^ V\S{5} (\S+) .*(?:H\.264|h264)", ran.stdout.decode(errors="replace"), re.MULTILINE)
    found = [name for name in found if not name.endswith("rgb")]
    found.sort(key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))
    return next((name for name in found if name == "libx264" or _works(program, name)), None)


def _works(program: str, codec: str) -> bool:
    """True if the encoder accepts a frame: hardware encoders are listed without their hardware."""
    frame = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x240", "-i", "pipe:0"]
    blank = bytes(320 * 240 * 3 // 2)
    return _run(program, [*frame, "-c:v", codec, "-pix_fmt", "yuv420p", "-f", "null", "-"], blank).returncode == 0


def _run(program: str, arguments: Sequence[str], data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run ffmpeg to its end; a program that hangs or can't be started counts as failed."""
    command = [program, "-v", "error", *arguments]
    try:
        return subprocess.run(
            command, input=data, capture_output=True, timeout=CHECK_TIMEOUT_S, check=False, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, b"", str(error).encode())


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block SIGNALS in this thread; a program started meanwhile inherits that."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has neither these signals nor masks
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Child:
    """An ffmpeg that is running. OSError if it can't be started; OutputError with the reason if it fails later."""

    def __init__(self, program: str, arguments: Sequence[str], with_input: bool) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - an unread pipe could fill up
        try:
            with _signals_blocked():
                self._process = subprocess.Popen(
                    [program, "-v", "error", "-nostdin", "-y", *arguments],
                    stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=self._log, start_new_session=True,
                    creationflags=NEW_PROCESS_GROUP,
                )  # fmt: skip
        except OSError:
            self._log.close()
            raise
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, AttributeError, ImportError):  # fewer switches; only on Linux
                import fcntl

                fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)

    def send(self, data: memoryview) -> None:
        """Write to its input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except OSError as error:
            raise self._failure() from error

    def complete(self) -> None:
        """End its input and wait for its end."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # then its exit code says why
                self._process.stdin.close()
        code = self._process.wait()
        lines = self._log_lines()
        # It ends with 0 even if the disk was full for the last block, and says so.
        if code != 0 or any(WRITE_ERROR.search(line) for line in lines):
            raise self._error(code, lines)

    def _failure(self) -> OutputError:
        """Wait for its end, by force if need be, and say why it failed."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return self._error(code, self._log_lines())

    def _log_lines(self) -> list[str]:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        self._log.close()
        return lines

    @staticmethod
    def _error(code: int, lines: list[str]) -> OutputError:
        if any(DISK_FULL.search(line) for line in lines):
            return OutputError("is the disk full?")
        if code < 0:
            return OutputError(f"ffmpeg was ended by signal {-code}")
        reason = lines[-1].strip().replace("file:", "") if lines else f"exit code {code}"
        return OutputError(f"ffmpeg: {reason}")


class FfmpegEncoder:
    """H.264 in yuv420p, which browsers and phones play; for mp4 and mov with the index in front.

    Frames of an odd width or height get one more column or row, a copy of the last: yuv420p needs even sizes.

    part: the file to write. target: its final name, for messages. size: (width, height). Raises OSError if ffmpeg can't
    be started.
    """

    def __init__(self, part: Path, target: Path, fps: float, size: tuple[int, int], program: str, codec: str) -> None:
        width, height = size
        self._target, self._padding = target, (height % 2, width % 2)
        size_text = f"{width + width % 2}x{height + height % 2}"
        self._child = _Child(
            program,
            [
                "-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", size_text, "-framerate", f"{fps:.9g}",
                "-i", "pipe:0", *encoder_arguments(codec), *_output(part),
            ],
            with_input=True,
        )  # fmt: skip

    def write(self, image: Image) -> None:
        """Append a frame, uint8 BGR [H, W, 3]; OutputError if ffmpeg has ended."""
        bottom, right = self._padding
        if bottom or right:
            image = np.asarray(cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8)
        # OpenCV converts in half ffmpeg's time, and half as many bytes go through the pipe.
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        with self._named_errors():
            self._child.send(planes.data.cast("B"))

    def finish(self) -> None:
        """Complete the file; OutputError if that failed."""
        with self._named_errors():
            self._child.complete()

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OutputError as error:
            raise OutputError(f"{self._target} could not be completed ({error}) and is removed") from error


def encoder_arguments(codec: str) -> list[str]:
    """ffmpeg's arguments for an H.264 encoder.

    One thread per four cores, so that on a Raspberry Pi three remain for the pipeline. OpenCV converts by BT.601, which
    the file says, so that colors are right in every player.
    """
    threads = str(max(1, usable_cores() // 4))
    speed = ["-preset", PRESET, "-crf", "23"] if codec == "libx264" else ["-b:v", "4M"]
    color = ["-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    return ["-an", "-c:v", codec, *speed, "-pix_fmt", "yuv420p", "-threads", threads, *color]


def _output(path: Path) -> list[str]:
    """The arguments that name an output; `file:` keeps a colon in the name from being a protocol."""
    kind = SOUND_FORMATS[path.suffix.lower()]
    faststart = ["-movflags", "+faststart"] if kind in FASTSTART else []
    return [*faststart, "-f", kind, f"file:{path}"]


@dataclass(frozen=True)
class Sound:
    """The first sound track of a video file. start_s: the file's own time of its first video frame, in seconds."""

    source: Path
    program: str
    codec: str
    start_s: float


def find_sound(source: Path, program: str) -> Sound | None:
    """The sound of a video file; None if it has none, or if ffmpeg can't read it."""
    first_frame = ["-map", "0:V:0", "-frames:v", "1", "-map", "0:a:0?", "-c", "copy", "-f", "framecrc", "pipe:1"]
    text = _run(program, ["-copyts", "-i", f"file:{source}", *first_frame]).stdout.decode(errors="replace")
    codec = re.search(r"^#codec_id 1: (\S+)", text, re.MULTILINE)
    base = re.search(r"^#tb 0: (\d+)/(\d+)", text, re.MULTILINE)
    frame = re.search(r"^0, *-?\d+, *(-?\d+),", text, re.MULTILINE)
    if codec is None or base is None or frame is None:
        return None
    return Sound(source, program, codec[1], int(frame[1]) * int(base[1]) / int(base[2]))


def add_sound(part: Path, sound: Sound, offset_s: float, duration_s: float) -> None:
    """Add the sound to the video in `part`.

    offset_s: the source's time of the video's first frame, since the source's first frame. duration_s: of the video,
    at whose end the sound is cut off. AAC is copied into mp4, mov and mkv; everything else is encoded as AAC, in webm
    as Opus. OutputError if it fails: the video is then as before.
    """
    wanted, encoder = ("opus", "libopus") if part.suffix.lower() == ".webm" else ("aac", "aac")
    codec = "copy" if sound.codec == wanted else encoder
    try:
        with temporary_file(part) as with_sound:
            child = _Child(
                sound.program,
                [
                    "-i", f"file:{part}", "-seek_timestamp", "1", "-ss", f"{sound.start_s + offset_s:.6f}",
                    "-i", f"file:{sound.source}", "-map", "0:v:0", "-map", "1:a:0", "-c:v", "copy", "-c:a", codec,
                    "-t", f"{duration_s:.6f}", *_output(with_sound),
                ],
                with_input=False,
            )  # fmt: skip
            child.complete()
            with_sound.replace(part)
    except OSError as error:
        raise OutputError(str(error.strerror or error)) from error
