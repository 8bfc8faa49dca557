"""Seven ways in which a camera spoils a face, each at five strengths, on FER2013-like faces.

The same seed gives the same pictures, so several networks see exactly the same ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2

Faces = npt.NDArray[np.uint8]
"""uint8 [N, H, W], as high as wide."""
STRENGTHS = 5


def blur(face: Faces, sigma_px: float, _rng: np.random.Generator) -> Faces:
    """Gaussian blur, as of a lens out of focus."""
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)


def noise(face: Faces, levels: float, rng: np.random.Generator) -> Faces:
    """Gaussian noise of that standard deviation in grey levels, as of a sensor at high gain."""
    return np.clip(face + rng.normal(0, levels, face.shape), 0, 255).round().astype(np.uint8)


def darkness(face: Faces, share: float, _rng: np.random.Generator) -> Faces:
    """That share of the light, rounded to whole grey levels as a sensor does."""
    return (face * share).round().astype(np.uint8)


def low_resolution(face: Faces, side_px: float, _rng: np.random.Generator) -> Faces:
    """A face of so many pixels a side (averaged), enlarged again."""
    small = cv2.resize(face, (int(side_px), int(side_px)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, face.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def occlusion(face: Faces, share: float, rng: np.random.Generator) -> Faces:
    """A grey square (the face's mean) of that share of the side, anywhere on the face."""
    side = round(share * face.shape[0])
    y, x = rng.integers(0, face.shape[0] - side + 1, 2)
    covered = face.copy()
    covered[y : y + side, x : x + side] = round(float(face.mean()))
    return covered


def jpeg(face: Faces, quality: float, _rng: np.random.Generator) -> Faces:
    """JPEG of that quality (100 is the best)."""
    data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def crop_jitter(face: Faces, share: float, rng: np.random.Generator) -> Faces:
    """A crop whose place is off by up to that share of the side each way, and its size by as much."""
    height, width = face.shape
    scale = 1 + rng.uniform(-share, share)
    x, y = rng.uniform(-share, share, 2) * width
    matrix = np.array([[scale, 0, x + width / 2 * (1 - scale)], [0, scale, y + height / 2 * (1 - scale)]])
    return np.asarray(cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


@dataclass(frozen=True)
class Corruption:
    """A way of spoiling faces. strengths: its parameter, mildest first; unit: what the parameter is."""

    name: str
    apply: Callable[[Faces, float, np.random.Generator], Faces]
    strengths: Sequence[float]
    unit: str


CORRUPTIONS = {
    corruption.name: corruption
    for corruption in (
        Corruption("blur", blur, (0.5, 1.0, 1.5, 2.0, 3.0), "sigma in px of 48"),
        Corruption("noise", noise, (5, 10, 20, 35, 50), "grey levels"),
        Corruption("darkness", darkness, (0.6, 0.4, 0.2, 0.1, 0.05), "share of the light"),
        Corruption("low resolution", low_resolution, (32, 24, 16, 12, 8), "px a side"),
        Corruption("occlusion", occlusion, (0.15, 0.25, 0.35, 0.45, 0.6), "share of the side"),
        Corruption("JPEG", jpeg, (60, 40, 20, 10, 5), "quality"),
        Corruption("crop jitter", crop_jitter, (0.04, 0.08, 0.12, 0.18, 0.25), "share of the side"),
    )
}


def corrupted(faces: Faces, corruption: Corruption, level: int, seed: int = 0) -> Faces:
    """`faces` (uint8 [N, H, W]) spoilt with the strength number `level`, 0 to 4; every face in its own way."""
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(corruption.name), level])
    strength = corruption.strengths[level]
    return np.stack([corruption.apply(face, strength, rng) for face in faces])
