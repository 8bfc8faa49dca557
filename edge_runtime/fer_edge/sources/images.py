"""Images as a source: a single file, the files of a folder, or those that match a pattern."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.guards.limits import MAX_DECODING_BYTES, MAX_IMAGE_BYTES, Limit
from fer_edge.guards.regular_files import read_regular
from fer_edge.media.door import Picture, decode_image
from fer_edge.sources.base import Source, SourceFrame

log = logging.getLogger(__name__)


class ImagesSource(Source):
    """Images in the given order. An unreadable one counts as an error, unless it is the only one: then SourceError.

    only: the content of the only file, if it is known.
    """

    def __init__(self, name: str, files: Sequence[Path], only: Picture | None = None) -> None:
        self.name = name
        self.image_count = self.frame_count = len(files)
        self.files = self._files = list(files)
        self._next = 0
        self._readable = 0
        try:
            self._only = only or (load_image(files[0]) if len(files) == 1 else None)
        except ValueError as error:
            raise SourceError(f"{files[0]} can't be used: {error}; name another image") from error

    def read(self) -> SourceFrame | None:
        if self._next == len(self._files):
            if not self._readable:
                raise SourceError(f"{self.name}: none of its {self._next} images can be read")
            return None
        path = self._files[self._next]
        self._next += 1
        try:
            picture = self._only or load_image(path)
        except ValueError as error:
            return SourceFrame(None, media_time_s=0.0, file=self._name_of(path), problem=str(error))
        self._readable += 1
        if picture.note:
            log.info("%s: %s", path, picture.note)
        # Images have no time.
        return SourceFrame(picture.image, media_time_s=0.0, file=self._name_of(path), size=picture.size)

    def _name_of(self, path: Path) -> str:
        return str(path) if self.files else self.name


def fetched_image(url: str, name: str) -> ImagesSource | None:
    """The image behind an HTTP URL, called `name`; None if there is none. SourceError if it can't be used."""
    from fer_edge.media.remote.fetch import fetch_image  # of no use without a URL
    from fer_edge.media.remote.redirects import RedirectError

    try:
        data = fetch_image(url)
        if data is None:
            return None
        source = ImagesSource(name, [Path(name)], decode_image(data))
    except RedirectError as error:
        raise SourceError(f"{name} can't be opened: {error}") from error
    except ValueError as error:
        raise SourceError(f"{name} can't be used: {error}; name another image") from error
    source.files = ()
    return source


def load_image(path: Path, memory: Limit = MAX_DECODING_BYTES) -> Picture:
    """The image, uint8 BGR [H, W, 3], turned upright by its Exif orientation; ValueError says why it can't be read.

    memory: the most bytes that decoding may take.
    """
    try:
        data = read_regular(path, MAX_IMAGE_BYTES)
    except OSError as error:
        raise ValueError(f"it can't be read ({error.strerror})") from error
    return decode_image(data, memory=memory)


def read_image(path: Path, memory: Limit = MAX_DECODING_BYTES) -> Image | None:
    """The pixels of `load_image`; None if it can't be read."""
    try:
        return load_image(path, memory).image
    except ValueError:
        return None
