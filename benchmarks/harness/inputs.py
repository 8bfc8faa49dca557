"""Inputs of the benchmarks: drawn faces and clips that need no download, FER2013's PublicTest, frames of a video."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer_edge.demo.scene import SIZE, draw_scene, expression_at, face_box_at
from fer_edge.errors import DataError
from fer_edge.framing import Image, Square, crop, to_gray
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES, PUBLIC_TEST, FaceData, load_faces

CLIP_FPS = 30
DRAWN_FACES = 210
CASCADE = f"{getattr(cv2, 'data').haarcascades}haarcascade_frontalface_default.xml"  # noqa: B009 - it has no stub


def draw_clip(path: Path, frame_count: int) -> Path:
    """Write the demo's drawn face as a video of 640x480 pixels and CLIP_FPS to `path` (.mkv)."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), CLIP_FPS, SIZE)
    for index in range(frame_count):
        writer.write(draw_scene(index / CLIP_FPS))
    writer.release()
    return path


def drawn_faces() -> FaceData:
    """The demo's face at many moments, framed like FER2013, labeled with the expression that it shows."""
    moments = (np.arange(DRAWN_FACES) * 10.0 / DRAWN_FACES).tolist()
    images = []
    for t in moments:
        x, y, width, height = face_box_at(t, SIZE)
        square = Square(x + width / 2, y + height / 2, 1.1 * width)
        images.append(crop(to_gray(draw_scene(t, SIZE)), square, (48, 48)))
    labels = np.array([FER2013_CLASSES.index(expression_at(t)) for t in moments])
    return FaceData(np.stack(images), labels, np.full(len(labels), PUBLIC_TEST), FER2013_CLASSES, Path("drawn faces"))


def public_test(data: Path) -> FaceData:
    """The PublicTest faces of fer2013.csv; DataError if it cannot be read."""
    return load_faces(data).split(PUBLIC_TEST)


def video_frames(path: Path, step: int = 1, last: int | None = None) -> Iterator[Image]:
    """Every `step`-th frame of a video, uint8 BGR [H, W, 3], before frame number `last`; DataError if there is none."""
    capture, number = cv2.VideoCapture(str(path)), 0
    while last is None or number < last:
        read, frame = capture.read()
        if not read:
            break
        if number % step == 0:
            yield np.asarray(frame, dtype=np.uint8)
        number += 1
    if not number:
        raise DataError(f"{path} can't be read as a video")
