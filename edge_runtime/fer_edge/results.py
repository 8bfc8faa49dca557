"""What the recogniser says of a picture: faces, and a frame's result, ready for JSON."""

from dataclasses import dataclass, field
from typing import Any

from fer_edge.framing import Box

JSON_SCHEMA = 1
BOX_DECIMALS = 2  # hundredths of a pixel
PROBABILITY_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a frame.

    box: (x, y, width, height) of the face in source pixels, clipped to the picture.
    score: the detector's own; luma and yunet 0 to 1, haar unbounded (larger is surer).
    emotion: the label to show, the likeliest one or one that was so until just now; confidence: its probability.
    probabilities: of every label, in the network's order; they sum to 1.
    track_id: the same number for the same face from frame to frame; None for a single picture.
    age_ms: how old the label is, from the capture of the frame it was read from.
    """

    box: Box
    score: float
    emotion: str
    confidence: float
    probabilities: dict[str, float]
    track_id: int | None = None
    age_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The faces of one captured frame.

    frame: 0-based capture number; t: seconds since the first frame (media time for files).
    detected: whether the detector ran on this very frame.
    file: for pictures, where the frame came from.
    """

    frame: int
    t: float
    detected: bool
    faces: tuple[Face, ...] = field(default=())
    file: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The value of one JSON line."""
        line: dict[str, Any] = {
            "schema": JSON_SCHEMA,
            "frame": self.frame,
            "t": round(self.t, 6),
            "detected": self.detected,
        }
        if self.file is not None:
            line["file"] = self.file
        line["faces"] = [
            {
                "id": face.track_id,
                "box": [round(value, BOX_DECIMALS) for value in face.box],
                "score": round(face.score, 4),
                "emotion": face.emotion,
                "confidence": round(face.confidence, PROBABILITY_DECIMALS),
                "probabilities": {
                    label: round(value, PROBABILITY_DECIMALS) for label, value in face.probabilities.items()
                },
                "age_ms": round(face.age_ms, 2),
            }
            for face in self.faces
        ]
        return line
