"""What one input may cost: bounds on pixels, bytes and seconds, each with an environment variable.

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


MAX_PIXELS = Limit("FER_EDGE_MAX_PIXELS", 50_000_000, "pixels of an image")
MAX_IMAGE_BYTES = Limit("FER_EDGE_MAX_IMAGE_BYTES", 64_000_000, "bytes of an image file, or of an image of a stream")
MAX_MODEL_BYTES = Limit("FER_EDGE_MAX_MODEL_BYTES", 300_000_000, "bytes of a network's file")
MAX_MODEL_SECONDS = Limit("FER_EDGE_MAX_MODEL_SECONDS", 30, "seconds that a network may take to open, or for a run")

# Those that are enforced. The two of images join them, here and in docs/limits.md, with the reader that obeys them.
LIMITS = (MAX_MODEL_BYTES, MAX_MODEL_SECONDS)
