"""The answers of a third-party network: which of its outputs become heads, and with which labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_edge.guards.text import label_fault, same_label
from fer_edge.network.contract import HEAD_NAME, MAX_LABELS

HEAD_FORM = "NAME=OUTPUT:LABEL,LABEL,..."


@dataclass(frozen=True)
class AdoptedHead:
    """One answer of a third-party network.

    labels: in the order of the output's values. name: of the head in the contract; "" for the only answer of a file
    without heads. output: its name in the third-party network; "" for the first output with a value per label.

    Raises ValueError if the name can't be a head's, or the labels can't tell two emotions apart.

    >>> AdoptedHead.parse("people=logits_2:angry,happy,neutral")
    AdoptedHead(labels=('angry', 'happy', 'neutral'), name='people', output='logits_2')
    """

    labels: tuple[str, ...]
    name: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        if self.name and not HEAD_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} can't be a head's name: use up to 32 of a to z, 0 to 9, - and _")
        if len(self.labels) < 2 or len(set(map(same_label, self.labels))) < len(self.labels) or "" in self.labels:
            raise ValueError(f"{','.join(self.labels)!r} must be two or more different names")
        if len(self.labels) > MAX_LABELS:
            raise ValueError(f"it names {len(self.labels):,} labels, more than {MAX_LABELS:,}")
        for label in self.labels:
            if fault := label_fault(label):
                raise ValueError(f"{label!r} can't be a label: {fault}")

    @classmethod
    def parse(cls, text: str) -> "AdoptedHead":
        """The head that HEAD_FORM describes; the output's own name may have colons. ValueError if it is none."""
        name, has_name, rest = text.partition("=")
        output, has_output, labels = rest.rpartition(":")
        if not (has_name and has_output and name.strip() and output.strip()):
            raise ValueError(f"{text!r} is not {HEAD_FORM}")
        return cls(split_labels(labels), name.strip(), output.strip())


def split_labels(text: str) -> tuple[str, ...]:
    """The labels in "A,B,...", without spaces around them."""
    return tuple(label.strip() for label in text.split(","))


def check_heads(heads: Sequence[AdoptedHead]) -> None:
    """ValueError, which begins with the option, if two heads have one name, or read one output."""
    for value in [head.name for head in heads], [head.output for head in heads]:
        twice = sorted({each for each in value if value.count(each) > 1})
        if twice:
            raise ValueError(f"head names {twice[0]!r} twice: give each head its own name and output")
