"""Images as a source: a single file, the files of a folder, or those that match a pattern."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.opencv import cv2
from fer_edge.sources.base import Source, SourceFrame


class ImagesSource(Source):
    """Images in the given order. An unreadable one counts as an error, unless it is the only one: then SourceError."""

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        self.name = name
        self.image_count = self.frame_count = len(files)
        self.files = self._files = list(files)
        self._next = 0
        self._readable = 0
        self._only = read_image(files[0]) if len(files) == 1 else None
        if len(files) == 1 and self._only is None:
            raise SourceError(f"{files[0]} is damaged or not an image: name another one")

    def read(self) -> SourceFrame | None:
        if self._next == len(self._files):
            if not self._readable:
                raise SourceError(f"{self.name}: none of its {self._next} images can be read")
            return None
        path = self._files[self._next]
        self._next += 1
        image = read_image(path) if self._only is None else self._only
        self._readable += image is not None
        return SourceFrame(image, media_time_s=0.0, file=str(path))  # images have no time


def read_image(path: Path) -> Image | None:
    """The image as uint8 BGR [H, W, 3], turned upright by its Exif orientation; None if it can't be read."""
    try:
        # cv2.imread crashes on a file name that is not UTF-8.
        image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):  # cv2.error: an empty file, or more than 2^30 pixels
        return None
    return None if image is None else np.asarray(image, dtype=np.uint8)
