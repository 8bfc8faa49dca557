"""Annotated video or pictures, written beside their name and renamed when complete."""

import contextlib
import os
import time
from pathlib import Path

import numpy as np

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, check_writable, sync_file
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sinks.base import Published, Sink
from fer_edge.sinks.overlay import annotate
from fer_edge.sinks.rotation import Rotation, remove_leftovers
from fer_edge.sources.base import Source
from fer_edge.sources.factory import IMAGE_SUFFIXES

# pip's OpenCV has no H.264 encoder.
FOURCC = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
COLOR_SUFFIXES = IMAGE_SUFFIXES - {".pgm"}  # a grey map can't hold the coloured boxes
DEFAULT_FPS = 30.0
MAX_STILL_S = 10.0  # of a live video, where the source was away


def check_image_output(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `path` names no video, picture or folder that can be written."""
    suffix = path.suffix.lower()
    if suffix in FOURCC or suffix in COLOR_SUFFIXES:
        check_writable(path, overwrite)
    elif path.is_dir() or not suffix:
        _check_folder(path, overwrite)
    else:
        raise OutputError(
            f"{path}: can't write {suffix} files: name a video ({', '.join(FOURCC)}), a picture or a folder"
        )


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder} is not empty: name another folder, or pass --overwrite")
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OutputError(f"{folder} can't be a folder of pictures: {existing} is not a folder that can be written to")


def open_image_sink(path: Path, source: Source, single: bool, gaps: bool, rotation: Rotation | None = None) -> Sink:
    """The sink for --output: a video by its suffix, one picture by its suffix, otherwise a folder of pictures.

    `path` has passed check_image_output; `single` says that only one frame will come, `gaps` that not all
    frames of the source will. OutputError if `path` doesn't fit the source.
    """
    suffix = path.suffix.lower()
    if suffix in FOURCC:
        return VideoSink(path, source.fps or DEFAULT_FPS, gaps, rotation)
    if suffix not in COLOR_SUFFIXES:
        return FolderSink(path)
    if not single:
        raise OutputError(
            f"{path} is one picture but {source.name} gives more: "
            "name a video (.mp4) or a folder, or pass --max-frames 1"
        )
    return ImageSink(path)


class _Video:
    """A video file being written beside its name; `finish` completes it and gives it the name."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        """`size` is (width, height). OutputError if it can't be encoded."""
        self._path, self._size = path, size
        self.frames = self.results = 0
        with contextlib.ExitStack() as stack:
            self._part = stack.enter_context(atomic_write(path))
            fourcc = cv2.VideoWriter.fourcc(*FOURCC[path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self._part), cv2.CAP_FFMPEG, fourcc, fps, size)
            if not self._writer.isOpened():
                raise OutputError(
                    f"{path}: this OpenCV can't encode it at {size[0]}x{size[1]}: name an .mp4 or .avi file"
                )
            self._renamed_at_end = stack.pop_all()

    def write(self, picture: Image, until: int) -> None:
        """Add `picture`, uint8 [H, W, 3], as often as it takes to have `until` frames."""
        if (picture.shape[1], picture.shape[0]) != self._size:  # a stream that changes its size, or several pictures
            picture = _fitted(picture, self._size)
        while self.frames < until:
            self._writer.write(picture)
            self.frames += 1
        self.results += 1

    def bytes_so_far(self) -> int:
        """Its size on the disk, without what the encoder still holds and the index at the end."""
        return self._part.stat().st_size

    def finish(self, rotation: Rotation | None = None) -> None:
        """OutputError, and no file, if the disk did not take all of it."""
        with self._renamed_at_end:
            self._writer.release()
            # The writer tells nothing of a full disk, but then the file's index is missing or wrong.
            frames = cv2.VideoCapture(str(self._part), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
            if frames < 0.99 * self.frames - 1:  # made from times that are rounded
                raise OutputError(f"{self._path} could not be completed (is the disk full?) and is left out")
            sync_file(self._part)
            if rotation is not None:
                rotation.put_aside(self._path)


class VideoSink(Sink):
    """A video of the annotated frames, in pieces if rotated.

    Frames are repeated so that it plays as fast as its source; if the source has `gaps`, as a live one has and a file
    of which frames were dropped, they are left out, too, where they come too soon.
    """

    name = "output"
    needs_image = True

    def __init__(self, path: Path, fps: float, gaps: bool, rotation: Rotation | None = None) -> None:
        self.target = str(path)
        self._path, self._fps, self._gaps, self._rotation = path, fps, gaps, rotation
        self._video: _Video | None = None
        self._begun = self._zero_t = 0.0  # of this piece: monotonic seconds, and the stream's own time
        if rotation is not None:
            remove_leftovers(path)

    def write(self, item: Published) -> None:
        assert item.frame is not None
        picture = annotate(item.frame.image, item.result.faces)
        if self._video is not None and self._rotation is not None:
            age_s = time.monotonic() - self._begun
            if self._rotation.is_complete(self._video.bytes_so_far(), age_s):
                self.close()
        if self._video is None:
            self._video = _Video(self._path, self._fps, (picture.shape[1], picture.shape[0]))
            self._begun, self._zero_t = time.monotonic(), item.result.t
        frames = self._video.frames
        due = self._due(frames, item.result.t)
        self._video.write(picture, due if self._gaps else max(frames + 1, due))
        self.written += 1

    def _due(self, frames: int, t: float) -> int:
        """How many frames the video has with the one at `t`, when it has `frames`; a long gap is shortened."""
        too_long_s = t - self._zero_t - frames / self._fps - MAX_STILL_S
        self._zero_t += max(0.0, too_long_s)
        return round((t - self._zero_t) * self._fps) + 1

    def close(self) -> None:
        video, self._video = self._video, None
        if video is None:
            return
        try:
            video.finish(self._rotation)
        except OutputError:
            self.written -= video.results
            raise


def _fitted(picture: Image, size: tuple[int, int]) -> Image:
    """`picture` as large as it fits into `size` (width, height), undistorted, on black."""
    scale = min(size[0] / picture.shape[1], size[1] / picture.shape[0])
    width, height = (max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(picture, (width, height))
    return canvas


class ImageSink(Sink):
    """One annotated picture."""

    name = "output"
    needs_image = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.target = str(path)

    def write(self, item: Published) -> None:
        assert item.frame is not None
        _save(annotate(item.frame.image, item.result.faces), self._path)
        self.written += 1


class FolderSink(Sink):
    """An annotated picture per frame in a folder: under the source picture's name, or numbered."""

    name = "output"
    needs_image = True

    def __init__(self, folder: Path) -> None:
        self._is_new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} can't be made a folder: {error.strerror}") from error
        self._folder = folder
        self.target = str(folder)
        self._taken: set[str] = set()  # no more names than the source has pictures

    def write(self, item: Published) -> None:
        assert item.frame is not None
        path = self._folder / self._name(item.result.frame, item.result.file)
        if item.result.file is not None and path.exists() and path.samefile(item.result.file):
            raise OutputError(f"{path} is a picture of the source: name another folder")
        _save(annotate(item.frame.image, item.result.faces), path)
        self.written += 1

    def discard(self) -> None:
        if self._is_new and not self.written:
            self._folder.rmdir()

    def _name(self, frame: int, file: str | None) -> str:
        if file is None:
            return f"frame_{frame:06}.jpg"
        name = Path(file).name
        if Path(name).suffix.lower() not in COLOR_SUFFIXES:
            name += ".png"
        if name in self._taken:  # pictures of two folders
            name = f"{Path(name).stem}_{frame:06}{Path(name).suffix}"
        self._taken.add(name)
        return name


def _save(picture: Image, path: Path) -> None:
    with atomic_write(path) as part:
        try:
            written = cv2.imwrite(str(part), picture)
        except cv2.error:  # of a size that the format does not know
            written = False
        if not written:
            raise OutputError(f"{path} can't be written: is the disk full, or the picture too large for its format?")
