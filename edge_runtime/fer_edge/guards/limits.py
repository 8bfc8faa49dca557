"""What one input may cost: bounds on pixels, bytes, members and seconds, each with an environment variable.

Inputs come from strangers, and a small machine has little memory. A header that claims 40,000 x 40,000 pixels must not
decide how much is allocated. docs/limits.md explains each bound.
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


# Of fer-edge and of fer-train, which reads the same kinds of files.
MAX_PIXELS = Limit("FER_EDGE_MAX_PIXELS", 50_000_000, "pixels of an image")
MAX_FRAME_PIXELS = Limit("FER_EDGE_MAX_FRAME_PIXELS", 17_000_000, "pixels of a frame of a video or camera")
MAX_IMAGE_BYTES = Limit("FER_EDGE_MAX_IMAGE_BYTES", 64_000_000, "bytes of an image file, or of an image of a stream")
MAX_LINE_CHARS = Limit("FER_EDGE_MAX_LINE_CHARS", 4_000_000, "characters of a line of a CSV")
MAX_MODEL_BYTES = Limit("FER_EDGE_MAX_MODEL_BYTES", 300_000_000, "bytes of a network's file")
MAX_MODEL_SECONDS = Limit("FER_EDGE_MAX_MODEL_SECONDS", 30, "seconds that a network may take to open, or for a run")
MAX_READ_SECONDS = Limit("FER_EDGE_MAX_READ_SECONDS", 60, "seconds in which a file must give its next frame")
# Of fer-train alone.
MAX_ARCHIVE_MEMBERS = Limit("FER_EDGE_MAX_ARCHIVE_MEMBERS", 2_000_000, "files in an archive")
MAX_ARCHIVE_BYTES = Limit("FER_EDGE_MAX_ARCHIVE_BYTES", 20_000_000_000, "bytes that an archive unpacks to")

LIMITS = (
    MAX_PIXELS, MAX_FRAME_PIXELS, MAX_IMAGE_BYTES, MAX_LINE_CHARS, MAX_MODEL_BYTES, MAX_MODEL_SECONDS,
    MAX_READ_SECONDS, MAX_ARCHIVE_MEMBERS, MAX_ARCHIVE_BYTES,
)  # fmt: skip
