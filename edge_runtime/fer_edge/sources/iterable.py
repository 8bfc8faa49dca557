"""A Python iterable of images as a source."""

import os
from collections.abc import Iterable

import numpy as np

from fer_edge.sources.base import Source, SourceFrame
from fer_edge.sources.convert import ImageLike, is_image, to_numbered_picture


class IterableSource(Source):
    """Arrays, paths or PIL images, every one in order; any other item raises `to_picture`'s error in `read`.

    Arrays are copied, so the iterable may draw the next image into the same array. A result names an item's file.
    fps: rate at which the images were taken; None takes their times from the clock.
    """

    name = "iterable"

    def __init__(self, images: Iterable[ImageLike], fps: float | None = None) -> None:
        if is_image(images) and not (isinstance(images, np.ndarray) and images.ndim > 3):
            raise TypeError("a source is an iterable of images: put a single image into a list")
        if not isinstance(images, Iterable):
            raise TypeError(
                "a source is a camera number, file, folder, URL or iterable of images, not " + type(images).__name__
            )
        self._images, self.fps, self._count = iter(images), fps, 0

    def read(self) -> SourceFrame | None:
        for item in self._images:
            time_s = self._count / self.fps if self.fps else None
            image, _, size = to_numbered_picture(item, self._count)
            self._count += 1
            is_array = isinstance(item, np.ndarray)
            file = str(item) if isinstance(item, str | os.PathLike) else None
            return SourceFrame(image.copy() if is_array else image, media_time_s=time_s, file=file, size=size)
        return None
