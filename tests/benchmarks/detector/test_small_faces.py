"""The cost of small faces: ratios of detectors that take turns."""

import numpy as np

from benchmarks.detector import small_faces
from fer_edge.demo.scene import draw_scene
from fer_edge.detectors.luma import LumaDetector
from fer_edge.framing import to_gray


def test_frames_are_cut_to_the_format_of_a_camera() -> None:
    wide = np.zeros((360, 640, 3), np.uint8)
    wide[:, 80:560] = 200
    cut = small_faces._filling(wide)
    assert cut.shape == (480, 640)
    assert (cut >= 199).all()


def test_the_first_size_is_what_the_others_are_compared_with() -> None:
    detectors = {size: LumaDetector(None, size) for size in (400, 20)}
    frames = [to_gray(draw_scene(t, (320, 240))) for t in (0.5, 2.0)]
    ratios, found = small_faces.time_ratios(detectors, frames, rounds=1)
    assert ratios[400] == [1.0, 1.0, 1.0]
    assert all(ratio > 0 for ratio in ratios[20])
    assert found == {400: 0.0, 20: 1.0}
