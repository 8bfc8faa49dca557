"""What one input may cost: bounds on pixels, bytes, members and seconds, each with an environment variable.

Inputs come from strangers, and a small machine has little memory. A header that claims 40,000 x 40,000 pixels must not
decide how much is allocated. docs/limits.md explains each bound; `benchmarks.speed.limits` measures what they hold.
"""

import os
from typing import NamedTuple

from fer_edge.errors import FerError

MAX_DIGITS = 18


class Limit(NamedTuple):
    """A bound with a default, which the environment variable `variable` overrides.

    what: what is counted, as the table in docs/limits.md says it.

    >>> Limit("FER_EDGE_MAX_MOONS", 1, "moons of a planet").value
    1
    """

    variable: str
    default: int
    what: str

    @property
    def value(self) -> int:
        """The bound as the environment sets it now; FerError if the variable is not a whole number above 0."""
        text = os.environ.get(self.variable, "").replace("_", "")
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) > 0):
            raise FerError(f"{self.variable} is {text[:40]!r}, not a whole number above 0: correct or unset it")
        return int(text)


MAX_PIXELS = Limit("FER_EDGE_MAX_PIXELS", 35_000_000, "pixels of an image that are decoded")
MAX_IMAGE_BYTES = Limit("FER_EDGE_MAX_IMAGE_BYTES", 64_000_000, "bytes of an image's file")
MAX_DECODING_BYTES = Limit(
    "FER_EDGE_MAX_DECODING_BYTES", 210_000_000, "bytes of memory that an image, or the decoder of a video, takes"
)
MAX_FRAME_PIXELS = Limit("FER_EDGE_MAX_FRAME_PIXELS", 10_000_000, "pixels of a frame of a video or stream")
MAX_PART_BYTES = Limit(
    "FER_EDGE_MAX_PART_BYTES", 64_000_000, "bytes of a part of a video or stream: an image, a packet, an index"
)
MAX_ROW_CHARS = Limit("FER_EDGE_MAX_ROW_CHARS", 2_000_000, "characters of a row of a CSV of face pixels")
MAX_FILES = Limit("FER_EDGE_MAX_FILES", 200_000, "images of a folder or pattern")
MAX_MODEL_BYTES = Limit("FER_EDGE_MAX_MODEL_BYTES", 300_000_000, "bytes of a network's file")
MAX_MODEL_MEMORY = Limit(
    "FER_EDGE_MAX_MODEL_MEMORY", 1_500_000_000, "bytes of memory that a network may take to open, or for a run"
)
MAX_MODEL_SECONDS = Limit("FER_EDGE_MAX_MODEL_SECONDS", 30, "seconds that a network may take to open, or for a run")
MAX_UPLOAD_BYTES = Limit("FER_EDGE_MAX_UPLOAD_BYTES", 10_000_000, "bytes of an image that a client sends to --serve")
MAX_UPLOAD_PIXELS = Limit("FER_EDGE_MAX_UPLOAD_PIXELS", 20_000_000, "pixels of such an image that are decoded")
MAX_UPLOAD_DECODING_BYTES = Limit(
    "FER_EDGE_MAX_UPLOAD_DECODING_BYTES", 130_000_000, "bytes of memory that such an image takes while it is decoded"
)

# Of data sets, which fer-train and fer-export read.
MAX_DATA_DECODING_BYTES = Limit(
    "FER_TRAIN_MAX_DECODING_BYTES", 160_000_000, "bytes of memory that images of a data set take while they are decoded"
)
MAX_DATA_ROW_CHARS = Limit("FER_TRAIN_MAX_ROW_CHARS", 100_000, "characters of a row of a data set's CSV")
MAX_MEMBERS = Limit("FER_TRAIN_MAX_MEMBERS", 100_000, "members of an archive, or files of a folder")
MAX_UNPACKED_BYTES = Limit("FER_TRAIN_MAX_UNPACKED_BYTES", 20_000_000_000, "bytes that an archive holds, unpacked")
MAX_CHECKPOINT_BYTES = Limit("FER_TRAIN_MAX_CHECKPOINT_BYTES", 2_000_000_000, "bytes of a checkpoint")
MAX_RATIO = Limit("FER_TRAIN_MAX_RATIO", 100, "times that an archive grows, beyond its first 100 MB unpacked")

LIMITS = (
    MAX_PIXELS, MAX_IMAGE_BYTES, MAX_DECODING_BYTES, MAX_FRAME_PIXELS, MAX_PART_BYTES, MAX_ROW_CHARS, MAX_FILES,
    MAX_MODEL_BYTES, MAX_MODEL_MEMORY, MAX_MODEL_SECONDS, MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS,
    MAX_UPLOAD_DECODING_BYTES, MAX_DATA_DECODING_BYTES, MAX_DATA_ROW_CHARS, MAX_MEMBERS, MAX_UNPACKED_BYTES,
    MAX_CHECKPOINT_BYTES, MAX_RATIO,
)  # fmt: skip
