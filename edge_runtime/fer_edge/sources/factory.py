"""Open the source that the user named: choose its class by the form of the name."""

import os
import re
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.guards.names import local_name
from fer_edge.guards.regular_files import kind_of
from fer_edge.guards.secrets import shown_source
from fer_edge.media.suffixes import IMAGE_SUFFIXES, UNREAD_SUFFIXES, VIDEO_SUFFIXES
from fer_edge.sources.base import Source
from fer_edge.sources.folder import chosen, find_images
from fer_edge.sources.reconnect import LiveSource, ReconnectPolicy, open_with_timeout

HEAD_BYTES = 64  # enough to tell a format


def open_source(
    uri: str | int | Path,
    camera_size: tuple[int, int] | None = None,
    reconnect_policy: ReconnectPolicy = ReconnectPolicy(),
    gray: bool = False,
    recursive: bool = True,
    exclude: Path | None = None,
) -> Source:
    """Open a camera number, /dev path, file, image, folder, glob pattern, CSV of faces, URL, `rpicam:` or `demo:`.

    camera_size: (width, height) requested from a camera. reconnect_policy: for live sources. gray: True if color is not
    needed; a camera that delivers luma then gives only that. recursive: also read the images below a folder. exclude:
    a folder below it that is not read, because it holds earlier outputs.

    Raises SourceError if it can't be opened.
    """
    # Import only the source that is used: that shortens the start.
    text = local_name(str(uri))
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
    return _open_path(text, recursive, exclude)


def _open_camera(
    camera: int | str, size: tuple[int, int] | None, reconnect_policy: ReconnectPolicy, gray: bool
) -> Source:
    from fer_edge.sources.video import CameraSource, camera_name

    return LiveSource(camera_name(camera), lambda: CameraSource(camera, size, gray), reconnect_policy)


def _open_rpicam(uri: str, reconnect_policy: ReconnectPolicy) -> Source:
    from fer_edge.sources.rpicam import RpicamSource

    return LiveSource(uri, lambda: RpicamSource(uri), reconnect_policy)


def _open_url(url: str, reconnect_policy: ReconnectPolicy) -> Source:
    from fer_edge.sources.url import UrlSource

    first = open_with_timeout(lambda: _url_source(url), shown_source(url), reconnect_policy.open_s)
    if not first.live:
        return first
    opened: list[Source] = [first]
    return LiveSource(first.name, lambda: opened.pop() if opened else UrlSource(url), reconnect_policy)


def _url_source(url: str) -> Source:
    """The image, video or stream behind a URL."""
    from fer_edge.media.remote.fetch import may_be_image
    from fer_edge.media.remote.redirects import is_http
    from fer_edge.sources.images import fetched_image
    from fer_edge.sources.url import UrlSource

    asked = may_be_image(url)
    if asked and (image := fetched_image(url, shown_source(url))) is not None:
        return image
    fetches = is_http(url) and not asked
    try:
        source = UrlSource(url)
    except SourceError:
        if fetches and (image := fetched_image(url, shown_source(url))) is not None:
            return image
        raise
    if fetches and source.is_one_image() and (image := fetched_image(url, source.name)) is not None:
        source.close()
        return image
    return source


def _open_path(text: str, recursive: bool, exclude: Path | None) -> Source:
    path = Path(text)
    if path.exists() and not os.access(path, os.R_OK):
        raise SourceError(f"{text} can't be read: change its permissions, or name another source")
    if path.is_dir():
        return _open_folder(path, recursive, exclude)
    if not path.exists():
        return _open_pattern(text)
    if kind := kind_of(path):
        raise SourceError(f"{text} is {kind}, not a file: name a file, folder, glob, URL, camera number or demo:")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        from fer_edge.sources.csv_faces import CsvFacesSource

        return CsvFacesSource(path)
    if not path.stat().st_size:
        raise SourceError(f"{text} is empty: name another file")
    if _is_image(path):
        from fer_edge.sources.images import ImagesSource

        return ImagesSource(text, [path])

    from fer_edge.guards.exit_guard import responsive
    from fer_edge.sources.video import VideoFileSource

    return responsive(lambda: VideoFileSource(path))  # a pipe or a network drive may take for ever


def _is_image(path: Path) -> bool:
    """True for a file that is one image by its name or its content; a .gif alone is read as a video."""
    suffix = path.suffix.lower()
    if suffix in (IMAGE_SUFFIXES | UNREAD_SUFFIXES) - {".gif"}:
        return True
    if suffix in VIDEO_SUFFIXES or not path.is_file():
        return False
    from fer_edge.media.formats import layout_of

    with path.open("rb") as file:
        layout = layout_of(file.read(HEAD_BYTES))
    return layout is not None and layout.format != "GIF"


def _open_folder(folder: Path, recursive: bool, exclude: Path | None) -> Source:
    from fer_edge.sources.images import ImagesSource

    files = find_images(folder, recursive, exclude)
    if not files:
        raise SourceError(
            f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): name another folder; "
            f"give videos by name, for example {folder}/*.mp4"
        )
    return ImagesSource(str(folder), files)


def _open_pattern(text: str) -> Source:
    import glob

    from fer_edge.sources.images import ImagesSource

    if not glob.has_magic(text):
        raise SourceError(
            f"{shown_source(text)} does not exist: a source is a file, folder, glob, URL, camera number or demo:"
        )
    found = (Path(match) for match in glob.iglob(text, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    files = chosen((path for path in found if not path.is_dir()), shown_source(text))
    if not files:
        raise SourceError(f"no image matches {shown_source(text)}: check the folder; for videos, leave the quotes out")
    return ImagesSource(text, files)
