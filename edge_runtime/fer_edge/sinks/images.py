"""Annotated video or images, written under a temporary name and renamed when complete."""

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
from fer_edge.sources.folder import IMAGE_SUFFIXES

# pip's OpenCV has no H.264 encoder.
FOURCC = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
COLOR_SUFFIXES = IMAGE_SUFFIXES - {".pgm"}  # a gray map can't hold the colored boxes
DEFAULT_FPS = 30.0
MAX_STILL_S = 10.0  # a longer outage of a live source becomes a still image of this length


def check_image_output(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `path` names no video, image or folder that can be written."""
    suffix = path.suffix.lower()
    if suffix in FOURCC or suffix in COLOR_SUFFIXES:
        check_writable(path, overwrite)
    elif path.is_dir() or not suffix:
        _check_folder(path, overwrite)
    else:
        raise OutputError(
            f"{path}: can't write {suffix} files: name a video ({', '.join(FOURCC)}), an image or a folder"
        )


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder} is not empty: name another folder, or pass --overwrite")
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise OutputError(f"{folder} can't be a folder of images: {existing} is not a folder that can be written to")


def open_image_sink(path: Path, source: Source, single: bool, gaps: bool, rotation: Rotation | None = None) -> Sink:
    """The sink for --output: a video or one image by its suffix, otherwise a folder of images.

    path: has passed check_image_output. single: only one frame will come. gaps: not every frame of the source will
    come. Raises OutputError if `path` does not fit the source.
    """
    suffix = path.suffix.lower()
    if suffix in FOURCC:
        return VideoSink(path, source.fps or DEFAULT_FPS, gaps, rotation)
    if suffix not in COLOR_SUFFIXES:
        root = Path(source.name)
        return FolderSink(path, root if root.is_dir() else None)
    if not single:
        raise OutputError(
            f"{path} is one image but {source.name} gives more: name a video (.mp4) or a folder, or pass --max-frames 1"
        )
    return ImageSink(path)


class _Video:
    """A video file that is being written under a temporary name; `finish` completes and renames it."""

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
            self._rename_at_exit = stack.pop_all()

    def write(self, image: Image, until: int) -> None:
        """Append `image`, uint8 [H, W, 3], repeated until the video has `until` frames."""
        if (image.shape[1], image.shape[0]) != self._size:  # a stream that changes its size, or several images
            image = _fit(image, self._size)
        while self.frames < until:
            self._writer.write(image)
            self.frames += 1
        self.results += 1

    def bytes_so_far(self) -> int:
        """Size on disk, without the encoder's buffer and the index at the end."""
        return self._part.stat().st_size

    def finish(self, rotation: Rotation | None = None) -> None:
        """Complete the file; OutputError, and no file, if the disk did not take all of it."""
        with self._rename_at_exit:
            self._writer.release()
            # The writer does not report a full disk, but then the file's index is missing or wrong.
            frames = cv2.VideoCapture(str(self._part), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT)
            if frames < 0.99 * self.frames - 1:  # the count is computed from rounded times
                raise OutputError(f"{self._path} could not be completed (is the disk full?) and is removed")
            sync_file(self._part)
            if rotation is not None:
                rotation.rotate(self._path)


class VideoSink(Sink):
    """A video of the annotated frames, in pieces if rotated.

    Frames are repeated so that it plays as fast as its source. gaps: frames of the source are missing (it is live, or
    frames of a file were dropped); frames that come too soon are then skipped.
    """

    name = "output"
    needs_image = True

    def __init__(self, path: Path, fps: float, gaps: bool, rotation: Rotation | None = None) -> None:
        self.target = str(path)
        self._path, self._fps, self._gaps, self._rotation = path, fps, gaps, rotation
        self._video: _Video | None = None
        self._started = self._zero_t = 0.0  # of this piece: monotonic seconds, and the stream's time
        if rotation is not None:
            remove_leftovers(path)

    def write(self, item: Published) -> None:
        assert item.frame is not None
        image = annotate(item.frame.image, item.result.faces)
        if self._video is not None and self._rotation is not None:
            age_s = time.monotonic() - self._started
            if self._rotation.is_complete(self._video.bytes_so_far(), age_s):
                self.close()
        if self._video is None:
            self._video = _Video(self._path, self._fps, (image.shape[1], image.shape[0]))
            self._started, self._zero_t = time.monotonic(), item.result.t
        frames = self._video.frames
        due = self._frames_due(frames, item.result.t)
        self._video.write(image, due if self._gaps else max(frames + 1, due))
        self.written += 1

    def _frames_due(self, frames: int, t: float) -> int:
        """The number of frames up to and including the one at `t`, after `frames` frames; shortens a long gap."""
        excess_s = t - self._zero_t - frames / self._fps - MAX_STILL_S
        self._zero_t += max(0.0, excess_s)
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


def _fit(image: Image, size: tuple[int, int]) -> Image:
    """`image` scaled into `size` (width, height) at its aspect ratio, with black bars."""
    scale = min(size[0] / image.shape[1], size[1] / image.shape[0])
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height))
    return canvas


class ImageSink(Sink):
    """One annotated image."""

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
    """A folder with an annotated image per frame: named after the source image, or numbered.

    root: if the source is a folder, that folder; the folders below it are repeated in this one.
    """

    name = "output"
    needs_image = True

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        self._root = root
        self._is_new = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder} can't be created: {error.strerror}") from error
        self._folder = folder
        self.target = str(folder)
        self._taken: set[str] = set()  # at most one name per source image

    def write(self, item: Published) -> None:
        assert item.frame is not None
        path = self._folder / self._name(item.result.frame, item.result.file)
        if item.result.file is not None and path.exists() and path.samefile(item.result.file):
            raise OutputError(f"{path} is an image of the source: name another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(annotate(item.frame.image, item.result.faces), path)
        self.written += 1

    def discard(self) -> None:
        if self._is_new and not self.written:
            self._folder.rmdir()

    def _name(self, frame: int, file: str | None) -> str:
        if file is None:
            return f"frame_{frame:06}.jpg"
        name = Path(file).name if self._root is None else str(Path(file).relative_to(self._root))
        if Path(name).suffix.lower() not in COLOR_SUFFIXES:
            name += ".png"
        if name in self._taken:  # images from two folders
            name = str(Path(name).with_stem(f"{Path(name).stem}_{frame:06}"))
        self._taken.add(name)
        return name


def _save(image: Image, path: Path) -> None:
    with atomic_write(path) as part:
        try:
            written, data = cv2.imencode(path.suffix, image)  # cv2.imwrite crashes on a file name that is not UTF-8
        except cv2.error:  # a size that the format does not support
            written = False
        if written:
            part.write_bytes(data.tobytes())
        else:
            raise OutputError(f"{path} can't be written: is the disk full, or the image too large for its format?")
