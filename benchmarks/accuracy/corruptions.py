"""Seven corruptions of face images by a camera, each at five strengths, for FER2013-like faces.

The same seed gives the same images, so that all networks see the same ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.opencv import cv2

Faces = npt.NDArray[np.uint8]
"""Square faces, uint8 [N, H, W]; [H, W] where it says `face`."""
STRENGTHS = 5


def blur(face: Faces, sigma_px: float, _rng: np.random.Generator) -> Faces:
    """Gaussian blur, as from a lens out of focus."""
    return np.asarray(cv2.GaussianBlur(face, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)


def noise(face: Faces, levels: float, rng: np.random.Generator) -> Faces:
    """Gaussian noise of that standard deviation in gray levels, as from a sensor at high gain."""
    return np.clip(face + rng.normal(0, levels, face.shape), 0, 255).round().astype(np.uint8)


def darkness(face: Faces, share: float, _rng: np.random.Generator) -> Faces:
    """The share `share` of the light, rounded to whole gray levels like a sensor's."""
    return (face * share).round().astype(np.uint8)


def low_resolution(face: Faces, side_px: float, _rng: np.random.Generator) -> Faces:
    """The face downscaled to `side_px` pixels (averaged) and enlarged again."""
    small = cv2.resize(face, (int(side_px), int(side_px)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, face.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def occlusion(face: Faces, share: float, rng: np.random.Generator) -> Faces:
    """A gray square (the face's mean) at a random place; its side is `share` of the face's."""
    side = round(share * face.shape[0])
    y, x = rng.integers(0, face.shape[0] - side + 1, 2)
    covered = face.copy()
    covered[y : y + side, x : x + side] = round(float(face.mean()))
    return covered


def jpeg(face: Faces, quality: float, _rng: np.random.Generator) -> Faces:
    """JPEG compression; quality 100 is the best."""
    data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def crop_jitter(face: Faces, share: float, rng: np.random.Generator) -> Faces:
    """A crop whose place is off by up to `share` of the side in each direction, and its size by as much."""
    height, width = face.shape
    scale = 1 + rng.uniform(-share, share)
    x, y = rng.uniform(-share, share, 2) * width
    matrix = np.array([[scale, 0, x + width / 2 * (1 - scale)], [0, scale, y + height / 2 * (1 - scale)]])
    return np.asarray(cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


@dataclass(frozen=True)
class Corruption:
    """A corruption. strengths: values of its parameter, mildest first. unit: of the parameter."""

    name: str
    apply: Callable[[Faces, float, np.random.Generator], Faces]
    strengths: Sequence[float]
    unit: str


CORRUPTIONS = {
    corruption.name: corruption
    for corruption in (
        Corruption("blur", blur, (0.5, 1.0, 1.5, 2.0, 3.0), "sigma in px of 48"),
        Corruption("noise", noise, (5, 10, 20, 35, 50), "gray levels"),
        Corruption("darkness", darkness, (0.6, 0.4, 0.2, 0.1, 0.05), "share of the light"),
        Corruption("low resolution", low_resolution, (32, 24, 16, 12, 8), "px per side"),
        Corruption("occlusion", occlusion, (0.15, 0.25, 0.35, 0.45, 0.6), "share of the side"),
        Corruption("JPEG", jpeg, (60, 40, 20, 10, 5), "quality"),
        Corruption("crop jitter", crop_jitter, (0.04, 0.08, 0.12, 0.18, 0.25), "share of the side"),
    )
}


def corrupted(faces: Faces, corruption: Corruption, level: int, seed: int = 0) -> Faces:
    """`faces` (uint8 [N, H, W]) with the corruption at strength number `level`, 0 to 4; randomness differs per face."""
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(corruption.name), level])
    strength = corruption.strengths[level]
    return np.stack([corruption.apply(face, strength, rng) for face in faces])
