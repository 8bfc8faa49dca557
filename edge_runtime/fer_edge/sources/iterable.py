"""A Python iterable of arrays as a source."""

from collections.abc import Iterable

import numpy as np

from fer_edge.framing import Image
from fer_edge.sources.base import Source, SourceFrame


class IterableSource(Source):
    """Arrays uint8 [H, W, 3] BGR or [H, W] gray, every one in order; TypeError or ValueError for others.

    They are copied, so the iterable may draw the next image into the same array.
    fps: images per second at which they were taken, if they are given at another pace; None uses the clock.
    """

    name = "iterable"

    def __init__(self, images: Iterable[Image], fps: float | None = None) -> None:
        if isinstance(images, np.ndarray) and images.ndim < 4 and images.dtype != object:
            raise TypeError("a source is an iterable of images: put a single image into a list")
        self._images, self.fps, self._count = iter(images), fps, 0

    def read(self) -> SourceFrame | None:
        for image in self._images:
            time_s = self._count / self.fps if self.fps else None
            self._count += 1
            return SourceFrame(check_image(image).copy(), media_time_s=time_s)
        return None


def check_image(image: Image) -> Image:
    """`image` if it is uint8 [H, W] or [H, W, 3] and not empty; TypeError or ValueError otherwise."""
    dtype = getattr(image, "dtype", None)
    if dtype != "uint8":
        raise TypeError(f"an image is a numpy array of uint8, not {dtype or type(image).__name__}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
        raise ValueError(f"an image has the shape [H, W] or [H, W, 3] (BGR), not {list(image.shape)}")
    return image
