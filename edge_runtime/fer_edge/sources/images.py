"""Pictures as a source: one, a folder's, or those that match a pattern."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.opencv import cv2
from fer_edge.sources.base import Grab, Source


class ImagesSource(Source):
    """Pictures in the given order. One that can't be read counts as an error, unless it is the only one."""

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        self.name = name
        self.pictures = len(files)
        self._files = list(files)
        self._next = 0

    def read(self) -> Grab | None:
        if self._next == len(self._files):
            return None
        path = self._files[self._next]
        self._next += 1
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None and self.pictures == 1:
            raise SourceError(f"{path} is not a readable picture")
        return Grab(None if image is None else np.asarray(image, dtype=np.uint8), file=str(path))
