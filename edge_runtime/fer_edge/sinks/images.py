"""Annotated images, in one file or a folder; the sink for --output, which may also be a video."""

import os
from pathlib import Path

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, check_writable
from fer_edge.framing import Image
from fer_edge.guards.names import fitting
from fer_edge.media.suffixes import WRITTEN_SUFFIXES
from fer_edge.opencv import cv2
from fer_edge.sinks import animation
from fer_edge.sinks.base import Published, Sink
from fer_edge.sinks.overlay import annotated
from fer_edge.sinks.rotation import Rotation
from fer_edge.sinks.video import DEFAULT_FPS, FOURCC, SOUND_SUFFIXES, VideoSink
from fer_edge.sources.base import Source

COLOR_SUFFIXES = WRITTEN_SUFFIXES - {".pgm"}  # a gray map can't hold the colored boxes


def check_image_output(path: Path, overwrite: bool = False) -> None:
    """Raise OutputError if `path` names no video, image or folder that can be written."""
    suffix = path.suffix.lower()
    if suffix in FOURCC or suffix in COLOR_SUFFIXES:
        check_writable(path, overwrite)
    elif suffix in animation.SUFFIXES:
        animation.check_animation(path, overwrite)
    elif path.is_dir() or not suffix:
        _check_folder(path, overwrite)
    else:
        raise OutputError(
            f"{path}: can't write {suffix} files: name a video ({', '.join(FOURCC)}), a .gif, an image or a folder"
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
        sound_of = None if gaps or suffix not in SOUND_SUFFIXES else _video_file(source)
        return VideoSink(path, source.fps or DEFAULT_FPS, gaps, rotation, sound_of)
    if suffix in animation.SUFFIXES and not (single and suffix in COLOR_SUFFIXES):
        animation.check_animation(path, overwrite=True)
        return animation.AnimationSink(path, source.image_count is not None or source.is_cropped)
    if suffix not in COLOR_SUFFIXES:
        root = Path(source.name)
        return FolderSink(path, root if root.is_dir() else None)
    if not single:
        raise OutputError(
            f"{path} is one image but {source.name} gives more: name a video (.mp4) or a folder, or pass --max-frames 1"
        )
    return ImageSink(path)


def _video_file(source: Source) -> Path | None:
    """The file of a source that is a video file."""
    is_video = not source.live and source.image_count is None and not source.is_cropped
    path = Path(source.name)
    return path if is_video and path.is_file() else None


class ImageSink(Sink):
    """One annotated image."""

    name = "output"
    needs_image = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self.target = str(path)

    def write(self, item: Published) -> None:
        _save(annotated(item), self._path)
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
        path = self._folder / self._name(item.result.frame, item.result.file)
        if item.result.file is not None and path.exists() and path.samefile(item.result.file):
            raise OutputError(f"{path} is an image of the source: name another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(annotated(item), path)
        self.written += 1

    def discard(self) -> None:
        if self._is_new and not self.written:
            self._folder.rmdir()

    def _name(self, frame: int, file: str | None) -> str:
        if file is None:
            return f"frame_{frame:06}.jpg"
        name = Path(file).name if self._root is None else str(Path(file).relative_to(self._root))
        if Path(name).suffix.lower() not in COLOR_SUFFIXES:
            name = str(Path(name).with_name(fitting(Path(name).name, ".png")))
        if name in self._taken:  # images from two folders
            path = Path(name)
            name = str(path.with_name(fitting(path.stem, f"_{frame:06}{path.suffix}")))
        self._taken.add(name)
        return name


def _save(image: Image, path: Path) -> None:
    with atomic_write(path, private=True) as part:
        try:
            written, data = cv2.imencode(path.suffix, image)  # cv2.imwrite crashes on a file name that is not UTF-8
        except cv2.error:  # a size that the format does not support
            written = False
        if written:
            part.write_bytes(data.data)
        else:
            raise OutputError(f"{path} can't be written: is the disk full, or the image too large for its format?")
