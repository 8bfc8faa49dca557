"""From what the user wrote to a source."""

import glob
import os
import re
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.sources.base import Source
from fer_edge.sources.reconnect import LiveSource, ReconnectPolicy, open_with_timeout

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}


def open_source(
    uri: str | int | Path,
    camera_size: tuple[int, int] | None = None,
    reconnect_policy: ReconnectPolicy = ReconnectPolicy(),
    gray: bool = False,
) -> Source:
    """Open a camera number, /dev path, file, picture, folder, glob pattern, CSV of faces, URL, `rpicam:` or `demo:`.

    `camera_size` is the (width, height) asked of a camera; `patience` is had with live sources. `grey`
    says that colour is not needed: a camera that has the luma at hand then gives just that. Raises SourceError if
    it can't be opened.
    """
    # Only the source that is used gets imported, to keep the start short.
    text = str(uri)
    is_number = re.fullmatch(r"\d{1,4}", text, re.ASCII)
    if is_number or text.startswith("/dev/"):
        return _open_camera(int(text) if is_number else text, camera_size, reconnect_policy, gray)
    if text.startswith("demo:"):
        from fer_edge.sources.demo import DemoSource

        return DemoSource(text)
    if text.startswith("rpicam:"):
        return _open_rpicam(text, reconnect_policy)
    if "://" in text:
        return _open_url(text, reconnect_policy)
    return _open_path(text)


def _open_camera(
    camera: int | str, size: tuple[int, int] | None, reconnect_policy: ReconnectPolicy, gray: bool
) -> Source:
    from fer_edge.sources.video import CameraSource, camera_name

    return LiveSource(camera_name(camera), lambda: CameraSource(camera, size, gray), reconnect_policy)


def _open_rpicam(uri: str, reconnect_policy: ReconnectPolicy) -> Source:
    from fer_edge.sources.rpicam import RpicamSource

    return LiveSource(uri, lambda: RpicamSource(uri), reconnect_policy)


def _open_url(url: str, reconnect_policy: ReconnectPolicy) -> Source:
    from fer_edge.sources.video import UrlSource, redact

    first = open_with_timeout(lambda: UrlSource(url), redact(url), reconnect_policy.open_s)
    if not first.live:
        return first
    opened: list[Source] = [first]
    return LiveSource(first.name, lambda: opened.pop() if opened else UrlSource(url), reconnect_policy)


def _open_path(text: str) -> Source:
    from fer_edge.sources.images import ImagesSource

    path = Path(text)
    if path.exists() and not os.access(path, os.R_OK):
        raise SourceError(f"{text} must not be read: change its permissions, or name another source")
    if path.is_file() and path.suffix.lower() != ".csv" and not path.stat().st_size:
        raise SourceError(f"{text} is empty: name another file")
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
        if not files:
            raise SourceError(f"{text} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}): name another folder")
        return ImagesSource(text, files)
    if not path.exists():
        if glob.has_magic(text):
            found = (Path(match) for match in glob.glob(text, recursive=True))  # noqa: PTH207 - it may be absolute
            files = sorted(file for file in found if file.is_file() and file.suffix.lower() in IMAGE_SUFFIXES)
            if files:
                return ImagesSource(text, files)
            raise SourceError(f"no picture matches {text}: mind the quotes and the folder; videos go one at a time")
        raise SourceError(f"{text} does not exist: --source takes a file, folder, glob, URL, camera number or demo:")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImagesSource(text, [path])
    if path.suffix.lower() == ".csv":
        from fer_edge.sources.csv_faces import CsvFacesSource

        return CsvFacesSource(path)

    from fer_edge.sources.video import VideoFileSource

    return VideoFileSource(path)
