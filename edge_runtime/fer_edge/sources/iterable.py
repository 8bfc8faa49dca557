"""A Python iterable of arrays as a source."""

from collections.abc import Iterable

from fer_edge.framing import Image
from fer_edge.sources.base import Grab, Source


class IterableSource(Source):
    """Arrays uint8 [H, W, 3] BGR or [H, W] grey, every one in order; TypeError or ValueError for others."""

    name = "iterable"

    def __init__(self, images: Iterable[Image]) -> None:
        self._images = iter(images)

    def read(self) -> Grab | None:
        image = next(self._images, None)
        return None if image is None else Grab(checked_image(image))


def checked_image(image: Image) -> Image:
    """`image` if it is uint8 [H, W] or [H, W, 3] and not empty; TypeError or ValueError otherwise."""
    dtype = getattr(image, "dtype", None)
    if dtype != "uint8":
        raise TypeError(f"a picture is a numpy array of uint8, not {dtype or type(image).__name__}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
        raise ValueError(f"a picture has the shape [H, W] or [H, W, 3] (BGR), not {list(image.shape)}")
    return image
