"""Faces without labels in an .npz file, which a student learns from through its teachers' predictions."""

import struct
import tokenize
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.files import atomic_write
from fer_edge.guards.regular_files import open_regular
from fer_train.archive_limits import Growth, open_zip
from fer_train.data import FACE_SIZE
from fer_train.data.containers import DAMAGED

HINT = "--unlabeled names an .npz file with `images`, uint8 [N, 48, 48]"

UNREADABLE = (  # what zipfile raises, and numpy, which parses a header as Python
    *DAMAGED, ValueError, LookupError, MemoryError, TypeError, ArithmeticError, SyntaxError, tokenize.TokenError,
    struct.error,
)  # fmt: skip


def load_npz_faces(path: Path) -> npt.NDArray[np.uint8]:
    """Read the faces, uint8 [N, 48, 48], that save_npz_faces wrote; DataError for any other file.

    Pickled objects are refused, so the file can't run code.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file: {HINT}")
    try:
        with open_regular(path) as file:
            with open_zip(file, path) as archive:
                Growth(path).check(archive.getinfo("images.npy").file_size)
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                images = np.asarray(arrays["images"])
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror or error}): {HINT}") from error
    except UNREADABLE as error:
        raise DataError(f"{path} is not a readable .npz file: {HINT}") from error
    if images.dtype != np.uint8 or images.shape[1:] != (FACE_SIZE, FACE_SIZE) or not len(images):
        raise DataError(f"{path} has images of {images.dtype} {list(images.shape)}: {HINT}")
    return images


def save_npz_faces(images: npt.NDArray[np.uint8], path: Path) -> None:
    """Write faces, uint8 [N, 48, 48], to `path`, atomically; OutputError on failure."""
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, images=images)
