"""What the recognizer returns: a face, and the faces of one frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, overload

from fer_edge.framing import Box, Image, scaled

JSON_SCHEMA = 1
BOX_DECIMALS = 2  # hundredths of a pixel
PROBABILITY_DECIMALS = 6
MAX_LABELS = 4  # in a result's repr


@dataclass(frozen=True, slots=True, repr=False)
class Face:
    """One face of a frame.

    box: (x, y, width, height) of the face in source pixels, clipped to the image.
    score: the detector's confidence; luma and yunet 0 to 1, haar unbounded (larger means surer).
    emotion: the label to show. Smoothing holds it for a moment after another label becomes the most probable.
    confidence: the probability of `emotion`.
    probabilities: of every label, in the network's order; they sum to 1.
    track_id: the same number for the same face from frame to frame; None for a single image.
    age_ms: time since the capture of the frame that was classified, in milliseconds.
    unsure: True if `confidence` is below the threshold, so that `emotion` is a guess.

    >>> face = Face(box=(10, 20, 80, 90), score=0.9, emotion="happy", confidence=0.8,
    ...             probabilities={"happy": 0.8, "neutral": 0.2})
    >>> face
    Face(happy 80 %, 80x90 at 10,20)
    >>> face.xyxy
    (10, 20, 90, 110)
    """

    box: Box
    score: float
    emotion: str
    confidence: float
    probabilities: dict[str, float]
    track_id: int | None = None
    age_ms: float = 0.0
    unsure: bool = False

    @property
    def xyxy(self) -> tuple[int, int, int, int]:
        """The box as whole pixels: left, top, right, bottom. `image[top:bottom, left:right]` cuts the face out."""
        x, y, width, height = self.box
        return round(x), round(y), round(x + width), round(y + height)

    def scaled(self, x: float, y: float) -> "Face":
        """The same face in an image `x` times as wide and `y` times as high."""
        return self if x == y == 1 else replace(self, box=scaled(self.box, x, y))

    def to_dict(self) -> dict[str, Any]:
        """The face as in a JSON line: numbers rounded, all values as JSON knows them."""
        probabilities = {label: round(value, PROBABILITY_DECIMALS) for label, value in self.probabilities.items()}
        return {
            "id": self.track_id,
            "box": [round(value, BOX_DECIMALS) for value in self.box],
            "score": round(self.score, 4),
            "emotion": self.emotion,
            "confidence": round(self.confidence, PROBABILITY_DECIMALS),
            "probabilities": probabilities,
            "age_ms": round(self.age_ms, 2),
            "unsure": self.unsure,
        }

    def __repr__(self) -> str:
        x, y, width, height = map(round, self.box)
        return f"Face({self.summary()}, {width}x{height} at {x},{y})"

    def summary(self) -> str:
        """The emotion with its confidence: "happy 87 %", or "unsure (happy 31 %)"."""
        label = f"{self.emotion} {round(100 * self.confidence)} %"
        return f"unsure ({label})" if self.unsure else label


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The faces of a frame that were found, but left out because of the settings; `len` counts them.

    small: side in pixels of each face's square that is smaller than min_face_px. faint: each score below min_score.
    boxes: (x, y, width, height) of each, and of faces that are both too small and too faint, which `len` leaves out.
    """

    small: tuple[float, ...] = ()
    faint: tuple[float, ...] = ()
    boxes: tuple[Box, ...] = ()

    def __len__(self) -> int:
        return len(self.small) + len(self.faint)


@dataclass(frozen=True, slots=True, repr=False)
class FrameResult:
    """The faces of one captured frame: `len(result)` counts them, `result[0]` is the first.

    frame: 0-based capture number. t: seconds since the first frame (media time for files).
    detected: True if the detector ran on this frame, False if its faces were only tracked.
    file: the image file that the frame came from; None for cameras and videos.
    time: time of day of the capture, in UTC and ISO 8601 with milliseconds, such as "2026-05-01T12:00:00.000Z"; None
        for files unless StreamOptions.start_time is given.
    image: the frame as displayed, rotated and mirrored: uint8 BGR [H, W, 3] or gray [H, W], read-only; with
        StreamOptions.blur its faces, or all of it, are hidden. None if the stream was opened with images=False. A photo
        too large to be decoded whole (docs/limits.md) is enlarged to its own size again, so that boxes fit it.
    left_out: the faces that are missing because they are too small or too faint.

    >>> FrameResult(frame=0, t=0.0, detected=True)
    FrameResult(frame 0 at 0.00 s: no face)
    >>> FrameResult(frame=0, t=0.0, detected=True).to_dict()
    {'schema': 1, 'frame': 0, 't': 0.0, 'detected': True, 'detector_ran': True, 'faces': []}
    """

    frame: int
    t: float
    detected: bool
    faces: tuple[Face, ...] = field(default=())
    file: str | None = None
    time: str | None = None
    image: Image | None = field(default=None, compare=False)
    left_out: LeftOut = field(default=LeftOut(), compare=False)

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, index: int | slice) -> Face | tuple[Face, ...]:
        return self.faces[index]

    def __bool__(self) -> bool:
        return True  # a result without a face is a result

    def to_dict(self) -> dict[str, Any]:
        """The value of one JSON line: numbers rounded, without the image."""
        line: dict[str, Any] = {
            "schema": JSON_SCHEMA,
            "frame": self.frame,
            "t": round(self.t, 6),
            "detected": self.detected,
            "detector_ran": self.detected,  # what "detected" means; it is not "a face was detected"
        }
        if self.time is not None:
            line["time"] = self.time
        if self.file is not None:
            line["file"] = self.file
        return line | {"faces": [face.to_dict() for face in self.faces]}

    def __repr__(self) -> str:
        name = f"frame {self.frame}" if self.file is None else self.file
        labels = [face.summary() for face in self.faces[:MAX_LABELS]] + ["..."] * (len(self) > MAX_LABELS)
        faces = f"{len(self) or 'no'} face{'s' * (len(self) > 1)}"
        return f"FrameResult({name} at {self.t:.2f} s: {': '.join([faces, ', '.join(labels)] if labels else [faces])})"
