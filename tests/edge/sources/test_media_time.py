"""The media time of a video file increases even where timestamps repeat or restart; a stand-in gives the timestamps."""

import numpy as np
import pytest

from fer_edge.opencv import cv2
from fer_edge.sources.capture import CaptureSource


class Stamped:
    """A VideoCapture of frames with these timestamps, in milliseconds."""

    def __init__(self, stamps_ms: list[float], fps: float) -> None:
        self.stamps_ms, self.fps, self.at = stamps_ms, fps, -1

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def get(self, prop: int) -> float:
        return {cv2.CAP_PROP_POS_MSEC: self.stamps_ms[max(self.at, 0)], cv2.CAP_PROP_FPS: self.fps}.get(prop, 0.0)

    def grab(self) -> bool:
        self.at += 1
        return self.at < len(self.stamps_ms)

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((4, 4, 3), np.uint8)


def times(stamps_ms: list[float], fps: float) -> list[float | None]:
    source = CaptureSource(Stamped(stamps_ms, fps), "file", live=False, advice="")  # type: ignore[arg-type]
    found = []
    while (grab := source.read()) is not None:
        found.append(grab.media_time_s)
    return found


def test_advancing_timestamps_are_the_media_time() -> None:
    assert times([0, 33, 67, 500, 533], 30) == pytest.approx([0, 0.033, 0.067, 0.5, 0.533])


def test_frames_are_counted_where_timestamps_repeat() -> None:
    assert times([0, 0, 0, 0], 25) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert times([0, 0], 0) == pytest.approx([0, 1 / 30])


def test_media_time_continues_where_timestamps_restart() -> None:
    assert times([0, 40, 80, 0, 40], 25) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
