"""The only way to OpenCV's FFmpeg: a name that it can take, and only the protocols and formats that a source needs.

FFmpeg chooses a format by content. It would open a "video.mp4" that is a playlist, and whatever that names: other files
and hosts. So formats that name others are left out, and protocols are those of the source's own scheme. OpenCV takes
such options from an environment variable alone.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fer_edge.errors import OutputError, SourceError
from fer_edge.guards.names import utf8_name
from fer_edge.media.decoder_memory import decoder_threads, fitting_threads
from fer_edge.media.ffmpeg_memory import WRITER_BYTES, bound_ffmpeg, lower_bound
from fer_edge.opencv import cv2

VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # OpenCV reads it whenever it opens a video
USUAL = "rtsp_flags;prefer_tcp"  # what OpenCV does without it, and what `fer_edge` sets it to
OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 10_000
AVFORMAT_WITH_MAX_REDIRECTS = 62  # of FFmpeg 8, in pip's OpenCV 4.13 and newer
HOLD_S = 2.0  # OpenCV reads the variable as soon as it opens a video; what follows may take much longer
SUFFIX = re.compile(r"\.\w{1,16}", re.ASCII)

# Demuxers of single files. Left out: those of playlists (hls, dash, concat, sdp, imf), which open what a stranger
# names; of text, which FFmpeg shows as a video; of old games.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,obu,av1,ivf,h261,h263,flv,live_flv,asf,ogg,gif,apng,dv,"
    "mjpeg,mpjpeg,mjpeg_2000,smjpeg,jpeg_pipe,png_pipe,rm,nut,nsv,mxf,gxf,wtv,swf,yuv4mpegpipe,vc1,vc1test,cavsvideo,"
    "avs2,avs3,dirac,dnxhd,pva,lmlm4"
)
PLAYLISTS = "hls,dash"
FILE = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
PROTOCOLS = {
    "http": "http,tcp",
    "https": "https,tls,tcp,httpproxy",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "rtp": "rtp,udp",
    "srt": "srt",
    "tcp": "tcp",
    "udp": "udp",
}


class Stream(NamedTuple):
    """The address of a network stream, and the options that FFmpeg opens it with."""

    url: str
    options: Mapping[str, str]


def stream(url: str, proxy: str | None = None) -> Stream:
    """The stream at `url`: redirects are not followed, playlists are read only through `proxy`.

    ValueError for a scheme that is not one of PROTOCOLS.
    """
    scheme = url.partition("://")[0].lower()
    if scheme not in PROTOCOLS:
        raise ValueError(f"the protocol {scheme} is not one of {', '.join(PROTOCOLS)}")
    formats = f"{FORMATS},rtsp,rtp"
    if proxy is None:
        limits = {"protocol_whitelist": PROTOCOLS[scheme], "format_whitelist": formats}
    else:
        protocols = "http,https,tls,tcp,httpproxy,crypto"
        limits = {"protocol_whitelist": protocols, "format_whitelist": f"{formats},{PLAYLISTS}", "http_proxy": proxy}
    # OpenCV's own preference of TCP for RTSP is lost where the variable is set.
    return Stream(url, {"rtsp_flags": "prefer_tcp"} | _own_options() | limits | {"max_redirects": "0"})


def ffmpeg_follows_redirects() -> bool:
    """True for an FFmpeg too old for the option max_redirects: it follows redirects to any host."""
    found = re.search(r"avformat:\s+YES \((\d+)\.", cv2.getBuildInformation())
    return found is None or int(found[1]) < AVFORMAT_WITH_MAX_REDIRECTS


def open_video(path: Path) -> cv2.VideoCapture:
    """A video file; not opened if it is none, or is a playlist. SourceError if its name can't be used."""
    with plain_name(path) as name:
        return _open(name, _own_options() | FILE)


def open_stream(source: Stream) -> cv2.VideoCapture:
    """A network stream, through FFmpeg: other backends ignore the timeouts."""
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
    return _open(source.url, source.options, timeouts)


def open_filtered(source: Path | Stream, filters: str, seek_s: float = 0.0) -> cv2.VideoCapture:
    """A video file or stream from `seek_s` on, through FFmpeg's `filters`; not opened if FFmpeg has no filters."""
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path):
            name, options = stack.enter_context(plain_name(source)), FILE
        else:
            name, options = source.url, {**source.options, "rw_timeout": f"{READ_TIMEOUT_MS}000"}
        given = ":".join(f"{key}={_escaped_option(value)}" for key, value in options.items())
        seek = f":seek_point={seek_s:.3f}" if seek_s > 0 else ""
        graph = f"movie={_escaped(name)}{seek}:format_opts={_escaped(given)},{filters}"
        return _open(graph, {"input_format": "lavfi"})


def open_writer(path: Path, fourcc: int, fps: float, size: tuple[int, int]) -> cv2.VideoWriter:
    """A writer of the video file `path`, which exists. size: (width, height). OutputError if its name can't be used."""
    from fer_edge.media.library_messages import library_messages  # few runs write a video

    try:
        with plain_name(path) as name, library_messages():  # OpenCV warns of every WebM
            bound_ffmpeg()
            writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, fourcc, fps, size)
            lower_bound("writer", WRITER_BYTES * size[0] * size[1])
            return writer
    except SourceError as error:
        raise OutputError(str(error)) from error


@contextlib.contextmanager
def plain_name(path: Path) -> Iterator[str]:
    """A name for the existing file `path` that OpenCV can take, valid inside the block.

    It is absolute, because FFmpeg takes the colon of a relative name for the end of a protocol. OpenCV crashes on a
    name that is not UTF-8; such a file gets a link with a plain name in a private folder. SourceError if that fails.
    """
    name = utf8_name(path.absolute())  # OpenCV hands on UTF-8
    if name is not None:
        yield name
        return
    import tempfile

    with contextlib.ExitStack() as stack:
        suffix = path.suffix if SUFFIX.fullmatch(path.suffix) else ""
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fer-")))
            link = folder / f"video{suffix}"
            link.symlink_to(path.absolute())
            name = utf8_name(link)
        except OSError as error:
            raise _no_link(path, error.strerror or "no link can be made") from error
        if name is None:
            raise _no_link(path, "nor is that of the temporary folder")
        yield name


def _no_link(path: Path, why: str) -> SourceError:
    return SourceError(f"{path} can't be opened: its name is not UTF-8, and {why}: rename it, or set TMPDIR")


def _escaped(text: str) -> str:
    """A value inside a filter graph: escaped as an option's value, then as part of a graph."""
    return re.sub(r"([\\'\[\],;])", r"\\\1", _escaped_option(text))


def _escaped_option(text: str) -> str:
    return re.sub(r"([\\':])", r"\\\1", text)


def _own_options() -> dict[str, str]:
    """What the user has set in VARIABLE, such as rtsp_transport;udp."""
    given = _variable.users_value()
    pairs = (pair.partition(";") for pair in given.split("|") if given != USUAL)
    return {key: value for key, _, value in pairs if key}


def _open(name: str, options: Mapping[str, str], parameters: list[int] | None = None) -> cv2.VideoCapture:
    bound_ffmpeg()
    most = decoder_threads()
    capture = _open_with(name, options, parameters, most)
    is_file = parameters is None
    threads = fitting_threads(capture, most) if capture.isOpened() or not is_file else 1  # no more may be startable
    if 0 < threads < most:
        capture.release()
        capture = _open_with(name, options, parameters, threads)
    return capture


def _open_with(name: str, options: Mapping[str, str], parameters: list[int] | None, threads: int) -> cv2.VideoCapture:
    given = [*(parameters or ()), cv2.CAP_PROP_N_THREADS, threads]
    with _variable.set("|".join(f"{key};{_escaped_pair(value)}" for key, value in options.items())):
        return cv2.VideoCapture(name, cv2.CAP_FFMPEG, given)


def _escaped_pair(value: str) -> str:
    return re.sub(r"([\\'|;])", r"\\\1", value)


class _Variable:
    """VARIABLE, which all threads of the process share.

    Captures are opened one after the other, but none waits longer than HOLD_S for one that hangs: OpenCV has read its
    options by then. If it has not, it opens with those of the other, which allow nothing more.
    """

    def __init__(self) -> None:
        self._turn, self._state = threading.Lock(), threading.Lock()
        self._openers, self._before = 0, os.environ.get(VARIABLE)

    def users_value(self) -> str:
        """The value outside our own openings."""
        with self._state:
            return (self._before if self._openers else os.environ.get(VARIABLE)) or ""

    @contextlib.contextmanager
    def set(self, value: str) -> Iterator[None]:
        has_turn = self._turn.acquire(timeout=HOLD_S)
        try:
            with self._state:
                if not self._openers:
                    self._before = os.environ.get(VARIABLE)
                self._openers += 1
                os.environ[VARIABLE] = value
            try:
                yield
            finally:
                self._restore()
        finally:
            if has_turn:
                self._turn.release()

    def _restore(self) -> None:
        with self._state:
            self._openers -= 1
            if self._openers:
                return
            if self._before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = self._before


_variable = _Variable()
