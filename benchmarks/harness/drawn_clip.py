"""The demo's drawn face as a video file, for benchmarks that need a clip and are given none."""

from pathlib import Path

from fer_edge.demo.scene import SIZE, draw_scene
from fer_edge.opencv import cv2

CLIP_FPS = 30


def draw_clip(path: Path, frames: int) -> Path:
    """Write `frames` frames of 640x480, CLIP_FPS a second, to `path` (.mkv)."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), CLIP_FPS, SIZE)
    for index in range(frames):
        writer.write(draw_scene(index / CLIP_FPS))
    writer.release()
    return path
