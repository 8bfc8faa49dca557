"""Results of small runs, made by numbers."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

LABELS = ("happy", "sad", "neutral")


def line(
    frame: int, t: float, shown: Sequence[str], ids: Sequence[int] | None = None, unsure: bool = False, **more: Any
) -> str:
    """A JSON line with a face per label in `shown`."""
    faces = [
        {"id": ids[place] if ids else place, "box": [10.5, 20.0, 30.0, 40.0], "score": 0.9, "emotion": label,
         "confidence": 0.8, "probabilities": {name: 0.8 if name == label else 0.1 for name in LABELS}, "age_ms": 1.0,
         "unsure": unsure}
        for place, label in enumerate(shown)
    ]  # fmt: skip
    value = {"schema": 1, "frame": frame, "t": t, "detected": bool(faces), "detector_ran": True, **more, "faces": faces}
    return json.dumps(value) + "\n"


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of lines; by default 10 s at 10 FPS with a face that is happy, then gone, then sad."""

    def write(name: str = "faces.jsonl", lines: Sequence[str] | None = None) -> Path:
        path = tmp_path / name
        if lines is None:
            lines = [
                line(frame, frame / 10, [] if 40 <= frame < 60 else ["happy" if frame < 40 else "sad"])
                for frame in range(100)
            ]
        path.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
        return path

    return write
