"""Picture files to 48 x 48 grey faces."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fer_edge.framing import Square, crop, to_gray
from fer_edge.opencv import cv2
from fer_train.data.containers import DAMAGED, Container
from fer_train.data.faces import FACE_SIZE
from fer_train.data.faults import Faults

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"))
PICTURES_A_JOB = 64
# OpenCV makes a picture with a grey rest of a truncated file, so its end is looked for: by first bytes, the last.
ENDINGS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82"}
SIZE, SHAPE, COLOR = "size", "shape", "colour"

Face = npt.NDArray[np.uint8]


def is_picture(name: PurePosixPath) -> bool:
    """Whether a file is called like a picture."""
    return name.suffix.casefold() in SUFFIXES


def decode_face(data: bytes) -> tuple[Face, frozenset[str]]:
    """The grey 48 x 48 face in a picture file, and what had to be changed for that: SIZE, SHAPE, COLOUR.

    Of a picture that is not square the middle square is taken. ValueError says why there is no picture in it.
    """
    if not data:
        raise ValueError("the file is empty")
    for start, end in ENDINGS.items():
        if data.startswith(start) and end not in data[-max(1024, len(data) // 8) :]:
            raise ValueError("the picture is cut off")
    # 8 bits, one channel or three, turned as its EXIF data says
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_ANYCOLOR)
    if image is None:
        raise ValueError("it is no picture, or damaged")
    pixels, changes = np.asarray(image, dtype=np.uint8), set()
    if pixels.ndim == 3 and not (np.ptp(pixels, axis=2) == 0).all():
        changes.add(COLOR)
    gray = to_gray(pixels)
    height, width = gray.shape
    if height != width:
        changes.add(SHAPE)
    if (height, width) != (FACE_SIZE, FACE_SIZE):
        changes.add(SIZE)
        gray = crop(gray, Square(width / 2, height / 2, min(height, width)), (FACE_SIZE, FACE_SIZE))
    return gray, frozenset(changes)


def read_pictures(
    container: Container, names: Sequence[PurePosixPath], faults: Faults
) -> tuple[Face, npt.NDArray[np.bool_], tuple[str, ...]]:
    """Faces uint8 [M, 48, 48] of the pictures that can be read, which of `names` these are (bool [N]), and notes.

    The others are added to `faults`. Decoding runs on all cores.
    """
    faces = np.empty((len(names), FACE_SIZE, FACE_SIZE), dtype=np.uint8)
    good = np.zeros(len(names), dtype=np.bool_)
    changed: Counter[str] = Counter()
    jobs = [range(start, min(start + PICTURES_A_JOB, len(names))) for start in range(0, len(names), PICTURES_A_JOB)]

    def work(job: range) -> tuple[range, Counter[str], list[tuple[int, str]]]:
        counted, bad = Counter[str](), []
        for place in job:
            try:
                with container.open(names[place]) as file:
                    faces[place], changes = decode_face(file.read())
            except ValueError as error:
                bad.append((place, str(error)))
            except DAMAGED as error:
                bad.append((place, f"it can't be read ({error})"))
            else:
                good[place] = True
                counted.update(changes)
        return job, counted, bad

    bar = tqdm(total=len(names), desc=f"Reading {container.path.name}", unit=" pictures", leave=False, disable=None)
    with bar, ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="pictures") as pool:
        try:
            for job, counted, bad in pool.map(work, jobs):
                changed.update(counted)
                for place, why in bad:
                    faults.add(str(names[place]), why)
                bar.update(len(job))
        except BaseException:  # a signal need not wait for the rest
            pool.shutdown(cancel_futures=True)
            raise
    return (faces if good.all() else faces[good]), good, _notes(changed, int(good.sum()))


def _notes(changed: Counter[str], total: int) -> tuple[str, ...]:
    told = [
        (SIZE, f"of another size were resized to {FACE_SIZE} x {FACE_SIZE}"),
        (SHAPE, "were not square: their middle square was taken"),
        (COLOR, "had colour and were turned to grey"),
    ]
    return tuple(f"{changed[what]:,} of {total:,} pictures {done}" for what, done in told if changed[what])
