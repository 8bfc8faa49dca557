"""Frames of the `demo:` source: a drawn person who moves and acts the seven emotions."""

import functools
import math

import numpy as np
import numpy.typing as npt

from fer_edge.demo.features import Pose, draw_portrait
from fer_edge.demo.head import FACE_HALF_WIDTH, LEFT, TOP, Image
from fer_edge.opencv import cv2

CYCLE_S = 10.0
"""Length of the cycle, after which everything repeats."""
SIZE = (640, 480)
"""Default frame size, width and height in pixels."""

# In the order they are acted. Exaggerated like an actor's: the networks learned from posed and press photos.
_POSES = {
    "neutral": Pose(brow_inner=-0.6, lid_up=3.6, lid_low=2.7, lip=0.9),
    "happy": Pose(
        brow_inner=0.6, brow_outer=0.8, lid_up=3.2, lid_low=1.6, mouth_width=18.0, mouth_up=1.0, mouth_down=7.0,
        corner=5.5, mouth_raise=0.5, lip=0.75, teeth=5.2, jaw=2.0, cheek=1.0, fold=0.9,
    ),
    "surprise": Pose(
        brow_inner=5.8, brow_outer=5.0, lid_up=6.3, lid_low=4.0, mouth_width=9.0, mouth_up=5.5, mouth_down=10.5,
        corner=0.0, lip=0.85, teeth=2.4, jaw=8.5, forehead=0.9, fold=0.05,
    ),
    "fear": Pose(
        brow_inner=5.8, brow_outer=-0.4, brow_pinch=1.4, lid_up=6.3, lid_low=3.2, mouth_width=16.5, mouth_up=3.0,
        mouth_down=8.5, corner=-2.2, lip=0.8, teeth=3.0, jaw=5.0, square=0.65, forehead=0.9, furrow=0.4, fold=0.35,
    ),
    "sad": Pose(
        brow_inner=5.0, brow_outer=-2.5, brow_pinch=1.0, lid_up=2.6, lid_low=2.4, lid_slant=1.3, mouth_width=12.5,
        corner=-4.5, lip=1.0, fold=0.5, furrow=0.4, forehead=0.4, gaze_y=1.2, mouth_raise=0.5,
    ),
    "angry": Pose(
        brow_inner=-5.6, brow_outer=4.4, brow_pinch=2.4, lid_up=3.9, lid_low=2.1, lid_slant=-1.0, mouth_width=16.0,
        mouth_up=2.6, mouth_down=2.6, corner=-3.8, mouth_raise=-0.5, lip=0.9, teeth=2.4, square=0.4, fold=0.15,
        wrinkle=0.6, furrow=1.0, gaze_y=0.6,
    ),
    "disgust": Pose(
        brow_inner=-5.2, brow_outer=-0.6, brow_pinch=1.4, lid_up=2.0, lid_low=1.2, mouth_width=11.5, mouth_up=2.2,
        mouth_down=1.6, corner=-3.6, mouth_raise=1.4, square=0.35, lip=1.1, teeth=2.0, jaw=1.5, cheek=0.3, fold=0.9,
        wrinkle=1.0, furrow=0.7,
    ),
}  # fmt: skip
_NAMES = tuple(_POSES)
_SLOT_S = CYCLE_S / len(_NAMES)
_BLEND_S = 0.5
_START_S = 0.3  # into the cycle: the first frame shows a calm face, after the blend and the blink
_BLINKS_S = (0.15, 2.8, 5.62, 8.5)  # mostly while the expression changes, as people blink
_BLINK_S = 0.26

_FACE_PX = 195.0  # mean height of the face at 640 x 480
_PORTRAIT_PX = 2.5  # pixels per unit of the portrait at 640 x 480: slightly more than those of the largest face
_NOISE_LEVELS = 7


def _phase(t: float) -> float:
    """Seconds into the cycle; rounded, so that t and t + CYCLE_S are equal as floats, too."""
    return round((t + _START_S) % CYCLE_S, 6) % CYCLE_S


def _ease(x: float) -> float:
    """Smootherstep: 0 to 1 with zero slope at both ends."""
    x = min(max(x, 0.0), 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


def expression_at(t: float) -> str:
    """The emotion acted at `t` seconds; it changes in the middle of the blend."""
    return _NAMES[int(_phase(t) / _SLOT_S)]


def _pose_at(t: float) -> Pose:
    """The pose at `t` seconds: held, blended into its neighbors at the ends of its slot, with blinks."""
    phase = _phase(t)
    slot = int(phase / _SLOT_S)
    into = phase - slot * _SLOT_S
    here = _POSES[_NAMES[slot]]
    if into < _BLEND_S / 2:
        other, share = _POSES[_NAMES[slot - 1]], 1 - _ease(0.5 + into / _BLEND_S)
    else:
        other, share = _POSES[_NAMES[(slot + 1) % len(_NAMES)]], _ease(0.5 - (_SLOT_S - into) / _BLEND_S)
    pose = Pose(*(a + (b - a) * share for a, b in zip(here, other, strict=True)))
    shut = max(_ease(2 - 4 * abs(phase - blink) / _BLINK_S) for blink in _BLINKS_S)
    return pose._replace(
        lid_up=pose.lid_up + (-0.7 * pose.lid_low - pose.lid_up) * shut,
        brow_inner=pose.brow_inner - 0.5 * shut,
        brow_outer=pose.brow_outer - 0.5 * shut,
        gaze_x=pose.gaze_x + 0.9 * math.sin(4 * math.pi * phase / CYCLE_S + 1),
    )


def _scale(size: tuple[int, int]) -> float:
    """Drawing scale relative to 640 x 480."""
    return min(size) / SIZE[1]


def _placement(t: float, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Center x and y of the resting face in pixels, pixels per unit, and tilt in degrees."""
    width, height = size
    turn = 2 * math.pi * _phase(t) / CYCLE_S
    scale = _scale(size)
    unit = scale * (_FACE_PX + 36 * math.sin(turn - 1.1)) / 100
    x = width / 2 + 92 * scale * math.sin(turn)
    # In a tall frame the person stands lower, so that the body reaches the lower border.
    y = max(height / 2, height - 300 * scale) + scale * (6 + 26 * math.sin(2 * turn + 0.6))
    return x, y, unit, 4.0 * math.sin(2 * turn + 1.9) + 1.5 * math.sin(3 * turn)


def face_box_at(t: float, size: tuple[int, int] = SIZE) -> tuple[float, float, float, float]:
    """The drawn face at `t` seconds, forehead to chin and cheek to cheek: x, y, width, height in pixels."""
    x, y, unit, degrees = _placement(t, size)
    turn = math.radians(degrees)
    jaw = _pose_at(t).jaw
    # The upright box around the tilted face, taken as an ellipse; the hair hides the top of the forehead.
    across, along, below = FACE_HALF_WIDTH * unit, (96 + jaw) / 2 * unit, (4 + jaw) / 2 * unit
    half_width = math.hypot(across * math.cos(turn), along * math.sin(turn))
    half_height = math.hypot(along * math.cos(turn), across * math.sin(turn))
    x, y = x - below * math.sin(turn), y + below * math.cos(turn)
    return x - half_width, y - half_height, 2 * half_width, 2 * half_height


@functools.lru_cache(maxsize=4)
def _background(size: tuple[int, int]) -> Image:
    """A plain wall in soft light, uint8 BGR [H, W, 3]; read-only."""
    width, height = size
    x = (np.arange(width, dtype=np.float32) - width / 2) / height
    y = np.arange(height, dtype=np.float32)[:, None] / height - 0.5
    light = np.exp(-((x + 0.32) ** 2 + (y + 0.30) ** 2) / 0.42)
    warm = np.exp(-((x - 0.62) ** 2 + (y - 0.18) ** 2) / 0.20)
    channels = ((132, -16, 0), (124, -20, 8), (112, -26, 26))
    image = np.empty((height, width, 3), np.uint8)
    for channel, (level, fall, glow) in enumerate(channels):
        wall = level + 62 * light + fall * y + glow * warm
        image[:, :, channel] = np.clip(wall - _NOISE_LEVELS / 2, 0, 255)
    image.setflags(write=False)
    return image


@functools.lru_cache(maxsize=4)
def _noise(size: tuple[int, int]) -> Image:
    """Sensor noise, uint8 0 to _NOISE_LEVELS [H + 64, W + 64, 3], read-only; each frame takes another window of it.

    It consists of four equal parts, which can't be seen. The first frame waits for it.
    """
    width, height = size
    rng = np.random.default_rng(1)
    grain = rng.normal(_NOISE_LEVELS / 2, 1.6, (height // 2 + 33, width // 2 + 33, 3))
    part = np.clip(grain.round(), 0, _NOISE_LEVELS).astype(np.uint8)
    table = np.tile(part, (2, 2, 1))
    table.setflags(write=False)
    return table


def _place(frame: Image, portrait: Image, to_frame: npt.NDArray[np.float64]) -> None:
    """Draw `portrait` (premultiplied BGRA) on `frame`, in place; `to_frame` [2, 3] maps its pixels to the frame's."""
    rows, columns = portrait.shape[:2]
    corners = np.array([[0, 0, 1], [columns, 0, 1], [0, rows, 1], [columns, rows, 1]]) @ to_frame.T
    x0, y0 = (int(v) for v in np.maximum(np.floor(corners.min(axis=0)), 0))
    x1, y1 = (int(v) for v in np.minimum(np.ceil(corners.max(axis=0)), (frame.shape[1], frame.shape[0])))
    warped = cv2.warpAffine(portrait, to_frame - [[0, 0, x0], [0, 0, y0]], (x1 - x0, y1 - y0))
    clear = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(warped, 3)), cv2.COLOR_GRAY2BGR)
    part = frame[y0:y1, x0:x1]
    part[:] = cv2.add(cv2.multiply(part, clear, scale=1 / 255), cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR))


def draw_scene(t: float, size: tuple[int, int] = SIZE) -> Image:
    """The frame at `t` seconds, uint8 BGR [H, W, 3] of `size` (width, height); equal t give equal frames."""
    x, y, unit, degrees = _placement(t, size)
    px = _PORTRAIT_PX * _scale(size)
    portrait = draw_portrait(_pose_at(t), px)
    c, s = unit / px * math.cos(math.radians(degrees)), unit / px * math.sin(math.radians(degrees))
    at_x, at_y = -LEFT * px, (50 - TOP) * px
    to_frame = np.array([[c, -s, x - c * at_x + s * at_y], [s, c, y - s * at_x - c * at_y]])
    frame = _background(size).copy()
    _place(frame, portrait, to_frame)
    moment = int(_phase(t) * 1000)
    left, top = moment * 37 % 64, moment * 53 % 61
    noise = _noise(size)[top : top + size[1], left : left + size[0]]
    return np.asarray(cv2.add(frame, noise), dtype=np.uint8)
