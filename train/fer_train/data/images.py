"""Turn image files into 48 x 48 gray faces."""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import IO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fer_edge.framing import Square, crop, to_gray
from fer_edge.guards.limits import MAX_DATA_DECODING_BYTES, MAX_IMAGE_BYTES, MAX_PIXELS
from fer_edge.guards.regular_files import too_large
from fer_edge.guards.text import printable
from fer_edge.media.door import decode_image, decoding_plan
from fer_edge.media.suffixes import IMAGE_SUFFIXES, PHONE_SUFFIXES, START_BYTES, starts_as_image
from fer_edge.opencv import cv2
from fer_train.data.containers import DAMAGED, Container
from fer_train.data.faces import FACE_SIZE
from fer_train.data.faults import Faults
from fer_train.photos import Crop, FaceFinder

IMAGES_PER_JOB = 64
MAX_WORKERS = 8
SMALL_BYTES = 4_000_000  # of a file that every thread may have read; larger ones go one at a time
SIZE, SHAPE, COLOR, REDUCED, FIRST = "size", "shape", "color", "reduced", "first image"
CUT, NO_FACE, SEVERAL = "cut", "no face", "several faces"  # what fer_train.photos finds

Face = npt.NDArray[np.uint8]


def is_image(name: PurePosixPath) -> bool:
    """Whether the name is that of an image file, also of one that can't be decoded."""
    return name.suffix.casefold() in IMAGE_SUFFIXES | PHONE_SUFFIXES


def image_files(container: Container) -> list[PurePosixPath]:
    """The images of a container, by their suffix or content, in its order."""
    return [name for name in container.files if is_image(name) or has_image_content(container, name)]


def has_image_content(container: Container, name: PurePosixPath) -> bool:
    """Whether the file starts as an image does; False if it can't be read."""
    try:
        with container.open(name) as file:
            return starts_as_image(file.read(START_BYTES))
    except DAMAGED:
        return False


def decode_face(data: bytes, finder: FaceFinder | None = None) -> tuple[Face, frozenset[str]]:
    """Decode an image file to a gray face, uint8 [48, 48], and say what was changed: SIZE, SHAPE, COLOR, REDUCED, CUT.

    FIRST: the file holds more images, of which the first is used. With a finder, the face of a photograph is cut out;
    NO_FACE and SEVERAL say why one is used whole. An image that is used whole and not square is cropped to its middle
    square. Raises ValueError if it can't be decoded.
    """
    picture = decode_image(data, cv2.IMREAD_ANYCOLOR, MAX_DATA_DECODING_BYTES)  # 8 bits, one or three channels
    pixels, changes = picture.image, set() if picture.size is None else {REDUCED}
    if picture.note and picture.size is None:
        changes.add(FIRST)
    if pixels.ndim == 3 and not (np.ptp(pixels, axis=2) == 0).all():
        changes.add(COLOR)
    gray = to_gray(pixels)
    outcome, square = finder.find(gray) if finder is not None else ("a face", None)
    if square is not None:
        return crop(gray, square, (FACE_SIZE, FACE_SIZE)), frozenset(changes | {CUT})
    changes |= {outcome} & {NO_FACE, SEVERAL}
    height, width = gray.shape
    if height != width:
        changes.add(SHAPE)
    if (height, width) != (FACE_SIZE, FACE_SIZE):
        changes.add(SIZE)
        gray = crop(gray, Square(width / 2, height / 2, min(height, width)), (FACE_SIZE, FACE_SIZE))
    return gray, frozenset(changes)


class _Memory:
    """Bytes that threads share: each waits until what it takes is free, or nothing is taken."""

    def __init__(self, total: int) -> None:
        self._total, self._taken, self._changed = total, 0, threading.Condition()

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + count <= self._total)
            self._taken += count
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()


def _decode(file: IO[bytes], finder: FaceFinder, memory: _Memory) -> tuple[Face, frozenset[str]]:
    """`decode_face` of a file; all threads together take no more memory than the limit for decoding."""
    data = file.read(SMALL_BYTES)
    if len(data) < SMALL_BYTES:
        with memory.taken(decoding_plan(data, MAX_DATA_DECODING_BYTES).needed):
            return decode_face(data, finder)
    with memory.taken(MAX_DATA_DECODING_BYTES.value):
        data += file.read(MAX_IMAGE_BYTES.value + 1 - len(data))
        if len(data) > MAX_IMAGE_BYTES.value:
            raise too_large(MAX_IMAGE_BYTES)
        return decode_face(data, finder)


def read_images(
    container: Container, names: Sequence[PurePosixPath], faults: Faults, crop_mode: Crop = "auto"
) -> tuple[Face, npt.NDArray[np.bool_], tuple[str, ...]]:
    """Decode images on all cores; unreadable ones are added to `faults`. crop_mode: how photographs are cut.

    Returns the M readable faces, uint8 [M, 48, 48], which of the N names they are, bool [N], and notes.
    """
    faces = np.empty((len(names), FACE_SIZE, FACE_SIZE), dtype=np.uint8)
    good = np.zeros(len(names), dtype=np.bool_)
    changed: Counter[str] = Counter()
    finder, memory = FaceFinder(crop_mode), _Memory(MAX_DATA_DECODING_BYTES.value)
    jobs = [range(start, min(start + IMAGES_PER_JOB, len(names))) for start in range(0, len(names), IMAGES_PER_JOB)]

    def work(job: range) -> tuple[range, Counter[str], list[tuple[int, str]]]:
        counted, bad = Counter[str](), []
        for place in job:
            try:
                with container.open(names[place]) as file:
                    faces[place], changes = _decode(file, finder, memory)
            except ValueError as error:
                bad.append((place, str(error)))
            except DAMAGED as error:
                bad.append((place, f"it can't be read ({error})"))
            else:
                good[place] = True
                counted.update(changes)
        return job, counted, bad

    bar = tqdm(total=len(names), desc=f"Reading {container.path.name}", unit=" images", leave=False, disable=None)
    with bar, ThreadPoolExecutor(min(MAX_WORKERS, os.cpu_count() or 1), thread_name_prefix="images") as pool:
        try:
            for job, counted, bad in pool.map(work, jobs):
                changed.update(counted)
                for place, reason in bad:
                    faults.add(printable(str(names[place])), reason)
                bar.update(len(job))
        except BaseException:  # on a signal, don't decode the rest
            pool.shutdown(cancel_futures=True)
            raise
    return (faces if good.all() else faces[good]), good, _notes(changed, int(good.sum()))


def _notes(changed: Counter[str], total: int) -> tuple[str, ...]:
    changes = [
        (FIRST, "hold more than one: the first is used"),
        (REDUCED, f"are large photographs: they were decoded at a part of their size ({MAX_PIXELS.variable})"),
        (CUT, "are photographs: the face was found and cut out, --crop never uses them whole"),
        (NO_FACE, "are larger but show no face that the detector finds: they are used whole"),
        (SEVERAL, "show several faces, none of which dominates: they are used whole"),
        (SIZE, f"of another size were resized to {FACE_SIZE} x {FACE_SIZE}"),
        (SHAPE, "were not square: their middle square was taken"),
        (COLOR, "were in color and were converted to gray"),
    ]
    return tuple(f"{changed[what]:,} of {total:,} images {done}" for what, done in changes if changed[what])
