"""What must be known about a third-party network, and what adoption changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fer_edge.network.contract import MAX_TEXT_CHARS, Contract, Head
from fer_export.adoption.heads import AdoptedHead, check_heads
from fer_export.graph.classifier import OUTPUT, head_output


@dataclass(frozen=True)
class Adoption:
    """What must be known about a third-party network.

    heads: its answers, the default one first; a single one without a name becomes a file without heads.
    input_size: (height, width) in pixels. color: "grey", "rgb" or "bgr". layout: "nchw" or "nhwc". mean, std: of the
    input in 0 to 255 units, one per channel in the network's own order, or one for all. softmax: whether to add one;
    None: to each answer that is not probabilities. framing, dataset: as in the contract. min_confidence: as there, by
    head, "" for all others.

    Raises ValueError, which begins with the option, if mean, std, heads or min_confidence don't fit.
    """

    heads: tuple[AdoptedHead, ...]
    input_size: tuple[int, int]
    color: str
    layout: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    softmax: bool | None = None
    framing: float = 1.0
    dataset: str = ""
    min_confidence: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels) or not np.isfinite(as_float32(values)).all():
                color = "gray" if self.color == "grey" else self.color
                counts = "one finite number" if self.channels == 1 else f"1 or {self.channels} finite numbers"
                raise ValueError(f"{name} must be {counts} that float32 can hold, for --color {color}")
        if as_float32(self.std).min() <= 0:
            raise ValueError("std must be above 0, also in float32")
        if len(self.dataset) > MAX_TEXT_CHARS or not self.dataset.isprintable():
            raise ValueError(f"dataset must be a text of at most {MAX_TEXT_CHARS} printable characters")
        check_heads(self.heads)
        known = [head.name for head in self.heads if head.name]
        for name in self.min_confidence:
            if name and name not in known:
                advice = f"choose one of {', '.join(known)}" if known else "give one number"
                raise ValueError(f"min-confidence names the head {name!r}, which the file won't have: {advice}")

    @property
    def channels(self) -> int:
        """1 for gray, 3 for color."""
        return 1 if self.color == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one face in the network's layout."""
        height, width = self.input_size
        return (self.channels, height, width) if self.layout == "nchw" else (height, width, self.channels)

    @property
    def contract(self) -> Contract:
        """The contract of the adopted file."""
        first = self.heads[0]
        contract = Contract(
            kind="classifier",
            labels=first.labels,
            input_size=self.input_size,
            color="grey" if self.color == "grey" else "rgb",
            framing=self.framing,
            dataset=self.dataset,
            min_confidence=self._threshold(first),
        )
        return contract.with_heads([self._head(head) for head in self.heads]) if first.name else contract

    def _head(self, head: AdoptedHead) -> Head:
        threshold = self._threshold(head)
        return Head(head.name, self.output_of(head), head.labels, min_confidence=threshold, dataset=self.dataset)

    def output_of(self, head: AdoptedHead) -> str:
        """The output of a head in the adopted file."""
        return head_output(head.name, [each.name for each in self.heads]) if head.name else OUTPUT

    def _threshold(self, head: AdoptedHead) -> float:
        return self.min_confidence.get(head.name, self.min_confidence.get("", 0.0))


@dataclass(frozen=True)
class Changes:
    """What adoption changed. made: what it added or changed. left_out: outputs that the new file doesn't have."""

    made: tuple[str, ...]
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        outputs = f"output{'s' * (len(self.left_out) > 1)} {', '.join(self.left_out)}"
        return f"with {', '.join(self.made)} and a contract{f', without its {outputs}' if self.left_out else ''}"


def as_float32(values: Sequence[float]) -> npt.NDArray[np.float32]:
    """The values as the graph holds them; too large ones become infinite, too small ones 0."""
    with np.errstate(over="ignore", under="ignore"):
        return np.array(values, dtype=np.float32)
