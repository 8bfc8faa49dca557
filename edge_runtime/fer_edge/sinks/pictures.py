"""Annotated video or pictures, written beside their name and renamed when complete."""

import contextlib
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.files import check_output, written_beside
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.overlay import draw
from fer_edge.sinks.base import Published, Sink
from fer_edge.sources.base import Source
from fer_edge.sources.choose import IMAGE_SUFFIXES

# pip's OpenCV has no H.264 encoder.
FOURCC = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
DEFAULT_FPS = 30.0


def open_picture_sink(path: Path, source: Source, overwrite: bool, single: bool) -> Sink:
    """The sink for --output: a video by its suffix, one picture by its suffix, otherwise a folder of pictures.

    `single` says that only one frame will come. OutputError if `path` can't be written or doesn't fit the source.
    """
    suffix = path.suffix.lower()
    if suffix in FOURCC:
        check_output(path, overwrite)
        return VideoSink(path, source.fps or DEFAULT_FPS, live=source.live)
    if suffix in IMAGE_SUFFIXES:
        if not single:
            raise OutputError(
                f"{path} is one picture but {source.name} gives more: "
                "name a video (.mp4) or a folder, or pass --max-frames 1"
            )
        check_output(path, overwrite)
        return PictureSink(path)
    if suffix and not path.is_dir():
        raise OutputError(
            f"{path}: can't write {suffix} files: name a video ({', '.join(FOURCC)}), a picture or a folder"
        )
    return FolderSink(path, overwrite)


class VideoSink(Sink):
    """A video of the annotated frames.

    From a live source frames are repeated or left out so that it plays in real time.
    """

    name = "output"
    needs_picture = True

    def __init__(self, path: Path, fps: float, live: bool) -> None:
        self._path, self._fps, self._live = path, fps, live
        self._files = contextlib.ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0

    def write(self, item: Published) -> None:
        assert item.frame is not None
        picture = draw(item.frame.image, item.result.faces)
        if self._writer is None:
            self._open(picture)
        assert self._writer is not None
        if (picture.shape[1], picture.shape[0]) != self._size:  # a stream that changes its size, or pictures of several
            picture = cv2.resize(picture, self._size)  # type: ignore[assignment]
        due = round(item.result.t * self._fps) + 1 if self._live else self._written + 1
        while self._written < due:
            self._writer.write(picture)
            self._written += 1

    def _open(self, picture: Image) -> None:
        part = self._files.enter_context(written_beside(self._path))
        self._size = (picture.shape[1], picture.shape[0])
        fourcc = cv2.VideoWriter.fourcc(*FOURCC[self._path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, fourcc, self._fps, self._size)
        if not self._writer.isOpened():
            raise OutputError(
                f"{self._path}: this OpenCV can't encode it at {self._size[0]}x{self._size[1]}: "
                "name an .mp4 or .avi file"
            )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
        self._files.close()


class PictureSink(Sink):
    """One annotated picture."""

    name = "output"
    needs_picture = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, item: Published) -> None:
        assert item.frame is not None
        _save(draw(item.frame.image, item.result.faces), self._path)


class FolderSink(Sink):
    """An annotated picture per frame in a folder: under the source picture's name, or numbered."""

    name = "output"
    needs_picture = True

    def __init__(self, folder: Path, overwrite: bool) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} can't be made a folder: {error.strerror}") from error
        if any(folder.iterdir()) and not overwrite:
            raise OutputError(f"{folder} is not empty: name another folder, or pass --overwrite")
        self._folder = folder
        check_output(folder / "frame", overwrite)

    def write(self, item: Published) -> None:
        assert item.frame is not None
        name = f"frame_{item.result.frame:06}.jpg" if item.result.file is None else Path(item.result.file).name
        _save(draw(item.frame.image, item.result.faces), self._folder / name)


def _save(picture: Image, path: Path) -> None:
    with written_beside(path) as part:
        if not cv2.imwrite(str(part), picture):
            raise OSError(0, "OpenCV can't encode it")
