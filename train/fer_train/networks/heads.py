"""The heads of a network: what each group of rows of its classifier says, and how well.

A network has one trunk and one dense layer. Its rows are those of the heads, one after the other:

    heads = (Head("people", ("happy", "sad")), Head("votes", ("happy", "sad", "contempt")))
    columns(heads)["votes"]  # slice(2, 5) of the logits [N, 5]
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fer_edge.errors import ModelError

NAME = re.compile(r"[a-z0-9_-]{1,32}")
DEFAULT_NAME = "labels"
CROSS_VALIDATION = "cross-validation"  # begins the split of metrics from all faces that a head was fitted on


@dataclass(frozen=True)
class Head:
    """One head of a network.

    name: what `--head` calls it; lower-case letters, digits, _ and -, up to 32.
    classes: labels in output order. class_mapping: what each class of the training data became, as in
        FaceData.class_mapping; empty if the data has these classes.
    temperature: logits are divided by it before the softmax (Guo et al. 2017).
    min_confidence: less confident answers count as unsure; 0: none does.
    dataset: what the head was fitted on. truth: what its metrics were measured against, in words.
    metrics: as in metrics.json.
    """

    name: str
    classes: tuple[str, ...]
    temperature: float = 1.0
    min_confidence: float = 0.0
    dataset: str = ""
    truth: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    class_mapping: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a valid head name: use a-z, 0-9, _ and -, 32 characters at most")

    @property
    def learned_all(self) -> bool:
        """True if the head was fitted on every face of its data, so that none of them can measure it."""
        return str(self.metrics.get("split", "")).startswith(CROSS_VALIDATION)


def head_name(dataset: str) -> str:
    """A head's name after its data set: "fer2013" for "fer2013.csv"."""
    stem = PurePosixPath(dataset.casefold()).name.partition(".")[0]
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-")[:32] or DEFAULT_NAME


def columns(heads: Sequence[Head]) -> dict[str, slice]:
    """Each head's columns of the logits, by its name."""
    found, start = {}, 0
    for head in heads:
        found[head.name] = slice(start, start + len(head.classes))
        start += len(head.classes)
    return found


def find_head(heads: Sequence[Head], name: str | None, owner: str = "the network") -> Head:
    """The head called `name`, the first one for None; ModelError, which names the heads, if there is none."""
    if name is None:
        return heads[0]
    for head in heads:
        if head.name == name:
            return head
    raise ModelError(f"{owner} has no head {name!r}: choose one of {', '.join(head.name for head in heads)}")
