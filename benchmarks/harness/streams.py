"""Clips through the pipeline, through its stages in one thread, and the detectors that can be had."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.inputs import CLIP_FPS
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.errors import SourceError
from fer_edge.framing import to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import FrameResult
from fer_edge.sources import open_source
from fer_edge.tracking.labels import EmotionLabeler
from fer_edge.tracking.tracker import FaceTracker

WARM_UP_FRAMES = 5


@dataclass(frozen=True)
class Pass:
    """One pass over a clip: frames per second, ms from frame to labels, faces and processor ms per frame."""

    fps: float
    p50_ms: float
    p95_ms: float
    faces_per_frame: float
    cpu_ms: float


def ignore_result(_frame: Frame, _result: FrameResult) -> None:
    """The sink of a pipeline whose results are not needed."""


def run_pipeline(
    clip: Path, detector: FramedDetector, classifier: Classifier, options: StreamOptions = StreamOptions(),
    sink: Callable[[Frame, FrameResult], None] = ignore_result,
) -> tuple[Pipeline, float]:  # fmt: skip
    """Run a clip to its end; the pipeline and its processor time in seconds. SourceError if the clip has no frame."""
    pipeline = Pipeline(open_source(clip), detector, classifier, sink, options=options)
    before = time.process_time()
    pipeline.start()
    while not pipeline.wait(60):
        pass
    pipeline.release()
    if pipeline.error is not None:
        raise pipeline.error
    if not pipeline.stats.processed:
        raise SourceError(f"{clip} gave no frame: name a video")
    return pipeline, time.process_time() - before


def loop_over(clip: Path, step: Callable[[Any, float], int]) -> Pass:
    """Read the clip frame by frame and call `step(frame_bgr, t)`, which returns how many faces it labeled."""
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    fps = capture.get(cv2.CAP_PROP_FPS) or CLIP_FPS
    took: list[float] = []
    faces = 0
    started, cpu = time.perf_counter(), time.process_time()
    while True:
        read, frame = capture.read()
        if not read:
            break
        before = time.perf_counter()
        faces += step(frame, len(took) / fps)
        took.append(time.perf_counter() - before)
        if len(took) == WARM_UP_FRAMES:
            started, cpu = time.perf_counter(), time.process_time()
    capture.release()
    frames = len(took) - WARM_UP_FRAMES
    if frames < 1:
        raise SourceError(f"{clip} gave {len(took)} frames, but at least {WARM_UP_FRAMES + 1} are needed: name a video")
    p50, p95 = (1000 * float(value) for value in np.percentile(took[WARM_UP_FRAMES:], [50, 95]))
    cpu_ms = 1000 * (time.process_time() - cpu) / frames
    return Pass(frames / (time.perf_counter() - started), p50, p95, faces / len(took), cpu_ms)


def one_thread(clip: Path, detector: FramedDetector, classifier: Classifier) -> Pass:
    """The pipeline's own stages one after the other."""
    tracker = FaceTracker()
    labeler = EmotionLabeler(classifier, detector.framing, 0.0, 0.3)

    def step(frame: Any, t: float) -> int:
        gray = to_gray(frame)
        found = detector.detect(frame if detector.needs_color else gray)
        return len(labeler.label(gray, tracker.update(gray, found, t), t, t).faces)

    return loop_over(clip, step)


def open_detectors(
    yunet: Path | None, luma: Path | None, min_face_px: int, detect_size_px: int
) -> list[FramedDetector]:
    """Luma, yunet if its file is given, and haar where OpenCV has cascades (OpenCV 5 has none)."""
    found: list[FramedDetector] = [open_detector("luma", luma, min_face_px, detect_size_px)]
    if yunet is not None:
        found.append(open_detector("yunet", yunet, min_face_px, detect_size_px))
    if hasattr(cv2, "CascadeClassifier"):
        found.append(open_detector("haar", None, min_face_px, detect_size_px))
    return found
