"""Convert what Python code passes as an image (array, path or PIL image) to the array that the pipeline reads."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fer_edge.errors import SourceError
from fer_edge.framing import Image
from fer_edge.guards.exit_guard import native_calls
from fer_edge.media.door import Picture
from fer_edge.sources.images import load_image

EXIF_ORIENTATION = 0x0112


class PilImage(Protocol):
    """PIL.Image.Image. fer-edge does not need Pillow: only callers that have it pass such images."""

    @property
    def mode(self) -> str:
        """Kind of pixels."""
        ...

    def convert(self, mode: str) -> Any:
        """The image in another mode."""
        ...

    def getexif(self) -> Any:
        """The Exif tags by number."""
        ...


ImageLike = Image | str | os.PathLike[str] | PilImage
"""An array uint8 [H, W, 3] BGR or [H, W] gray, the path of an image file, or a PIL image."""


def is_image(value: object) -> bool:
    """True if `value` stands for one image, valid or not; False if it may be an iterable of images."""
    if isinstance(value, np.ndarray):
        return bool(value.dtype != object)
    return isinstance(value, str | os.PathLike | bytes) or _is_pil(value)


def to_picture(value: object) -> Picture:
    """`value`, an ImageLike, as uint8 BGR [H, W, 3] or gray [H, W]; files and PIL images upright by their Exif data.

    Raises SourceError for a file that can't be read, TypeError and ValueError for another type, dtype or shape.
    """
    if isinstance(value, str | os.PathLike):
        return _from_file(value)
    if _is_pil(value):
        return Picture(_from_pil(value))
    return Picture(_checked(value))


def to_pictures(values: Iterable[object]) -> Iterator[Picture]:
    """`to_picture` of each; its errors name the item, counted from 0."""
    for index, value in enumerate(values):
        yield to_numbered_picture(value, index)


def to_numbered_picture(value: object, index: int) -> Picture:
    """`to_picture` of the item `index` of the caller's images; its errors name the item."""
    try:
        return to_picture(value)
    except (SourceError, TypeError, ValueError) as error:
        raise type(error)(f"image {index}: {error}") from error


def _checked(array: object) -> Image:
    if array is None:
        raise TypeError("image is None: cv2.imread returned nothing, check the path")
    if not isinstance(array, np.ndarray):
        raise TypeError(f"an image is a numpy array of uint8, a path or a PIL image, not {type(array).__name__}")
    if array.dtype != np.uint8:
        advice = ": if its values are 0 to 1, pass np.uint8(255 * image)" if array.dtype.kind == "f" else ""
        raise TypeError(f"an image is a numpy array of uint8, not {array.dtype}{advice}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise ValueError(
            f"an image has the shape [H, W] or [H, W, 3] (BGR), not {list(array.shape)}{_shape_advice(array)}"
        )
    return array


def _shape_advice(array: Image) -> str:
    """What to do about a wrong shape; "" if that is not known."""
    if not array.size:
        return ": it is empty"
    if array.ndim == 4:
        return ": for several images, pass list(images)"
    by_channels = {1: ": pass image[:, :, 0]", 4: ": leave out alpha with image[:, :, :3]"}
    return by_channels.get(array.shape[2], "") if array.ndim == 3 else ""


def _from_file(path: str | os.PathLike[str]) -> Picture:
    if "://" in str(path):
        raise SourceError(f"{path} is a URL: stream reads it; recognize takes image files")
    if not str(path):
        raise SourceError("the path of the image is empty")
    file = Path(path)
    if file.is_dir():
        raise SourceError(f"{path} is a folder: stream reads its images; recognize takes image files")
    if not file.exists():
        raise SourceError(f"{path} does not exist: check the path of the image")
    if not os.access(file, os.R_OK):
        raise SourceError(f"{path} can't be read: change its permissions")
    with native_calls():
        try:
            return load_image(file)
        except ValueError as error:
            raise SourceError(f"{path} can't be used: {error}; name another image; stream reads videos") from error


def _is_pil(value: object) -> bool:
    module = sys.modules.get("PIL.Image")  # a caller with a PIL image has imported it
    return module is not None and isinstance(value, module.Image)


def _from_pil(image: Any) -> Image:
    try:
        return _upright(_pil_pixels(image), _orientation(image))
    except OSError as error:  # PIL reads the file now
        raise SourceError(f"the PIL image can't be read: {error}") from error


def _pil_pixels(image: Any) -> Image:
    """Gray [H, W] of a gray image, else BGR [H, W, 3]; alpha is left out, as OpenCV does with files."""
    mode = image.mode
    if not all(image.size):
        raise ValueError("the PIL image has no pixels")
    if mode.startswith("I;16"):
        return np.asarray(np.asarray(image) >> 8, dtype=np.uint8)
    if mode in ("I", "F"):
        raise ValueError(f"a PIL image of mode {mode} has no fixed range of values: scale it to 0-255 and convert to L")
    if mode in ("La", "RGBa"):
        image = image.convert(mode.upper())
    gray = mode in ("1", "L", "LA", "La")
    pixels = np.asarray(image.convert("L" if gray else "RGB"), dtype=np.uint8)
    return pixels if gray else np.ascontiguousarray(pixels[:, :, ::-1])


def _orientation(image: Any) -> int:
    """The image's Exif orientation, 1 to 8."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - a broken Exif block, which OpenCV ignores as well
        return 1


def _upright(pixels: Image, orientation: int) -> Image:
    """Undo the rotation and mirroring that an Exif orientation stands for (Exif 2.3, 4.6.4 A)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
