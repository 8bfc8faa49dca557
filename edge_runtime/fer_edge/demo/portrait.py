"""The still part of the drawn person at any size: read from portrait.png at the usual one, drawn at others.

To draw it takes as long as fer-edge's whole start. After a change of `head`, write the file again:

    python -m fer_edge.demo.portrait
"""

import functools
from pathlib import Path

import numpy as np

from fer_edge.demo.head import Image, paint_portrait
from fer_edge.opencv import cv2

STORED = Path(__file__).with_name("portrait.png")
STORED_PX = 2.5  # pixels per unit, of frames with 480 pixels on their shorter side
SMALLEST_FILE = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]


@functools.lru_cache(maxsize=4)
def still_portrait(px: float) -> Image:
    """What `fer_edge.demo.head.paint_portrait` draws at `px` pixels per unit: uint8 BGRA [H, W, 4], read-only."""
    portrait = _stored() if px == STORED_PX else paint_portrait(px)
    portrait.setflags(write=False)
    return portrait


def _stored() -> Image:
    # Not cv2.imread, which can't take every name of a folder.
    pixels = cv2.imdecode(np.frombuffer(STORED.read_bytes(), dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(pixels, dtype=np.uint8)


if __name__ == "__main__":
    STORED.write_bytes(cv2.imencode(".png", paint_portrait(STORED_PX), SMALLEST_FILE)[1].tobytes())
