"""What an export measures of each head."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fer_edge.network.contract import Contract
from fer_export.checks.parity import Consistency, Parity
from fer_export.checks.truths import HeadTruth
from fer_export.graph.classifier import output_names
from fer_export.int8.temperature import TemperatureFit
from fer_export.report import accuracy_fields
from fer_train.evaluation.scoring import Accuracy
from fer_train.networks.checkpoint import Checkpoint
from fer_train.networks.heads import Head


@dataclass
class HeadFigures:
    """One head: where its answers are, what it is measured against, and what was measured.

    name: None for a network with a single head without --head, whose file lists no heads. place: among the heads.
    output: of the graph, with these `columns` of the network's logits. truth: None if the data has none. scores: by
    precision, accuracy and calibration against each part of the truth. agreement: of int8 with fp32. accuracy: by
    precision, over all of the truth.
    """

    head: Head
    name: str | None
    place: int
    output: str
    columns: slice
    truth: HeadTruth | None = None
    scores: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    parity: Parity | None = None
    consistency: Consistency | None = None
    temperature: TemperatureFit | None = None
    agreement: float | None = None
    accuracy: dict[str, Accuracy] = field(default_factory=dict)

    def told(self, line: object) -> str:
        """`line` about this head, which it names in a file with several."""
        return str(line) if self.name is None else f"{self.name}: {line}"

    def change(self, contract: Contract, **values: Any) -> Contract:
        """`contract` with new values of this head."""
        if self.name is None:
            return replace(contract, **values)
        heads = list(contract.heads)
        heads[self.place] = replace(heads[self.place], **values)
        return contract.with_heads(heads)

    def with_accuracy(self, contract: Contract, measured: Accuracy) -> Contract:
        """`contract` with the head's accuracy and, in a file with heads, its truth and confusion matrix."""
        images, fraction = measured.metrics["images"], measured.metrics["accuracy"]
        accuracy: dict[str, Any] = {"split": measured.split, "images": images, "accuracy": round(fraction, 6)}
        if self.name is None:
            return self.change(contract, accuracy=accuracy)
        assert self.truth is not None  # there is no accuracy without one
        confusion = tuple(tuple(int(count) for count in row) for row in measured.metrics["confusion"])
        return self.change(contract, accuracy={"truth": self.truth.description} | accuracy, confusion=confusion)

    def to_json(self) -> dict[str, Any]:
        """As in the list `heads` of export.json."""
        return {
            "name": self.head.name,
            "labels": list(self.head.classes),
            "truth": self.truth and self.truth.description,
            "agreement": self.agreement,
            "accuracy": accuracy_fields(self.accuracy),
            "truths": self.scores,
            "confusion": {name: measured.metrics["confusion"] for name, measured in self.accuracy.items()},
            "parity": self.parity and self.parity.to_json(),
            "int8_consistency": self.consistency and self.consistency.to_json(),
            "temperature": self.temperature and asdict(self.temperature),
        }


def head_figures(checkpoint: Checkpoint, names_heads: bool = False) -> Sequence[HeadFigures]:
    """An empty entry per head of the checkpoint. names_heads: as of classifier_contract."""
    heads, has_names = checkpoint.heads, names_heads or len(checkpoint.heads) > 1
    return [
        HeadFigures(head, head.name if has_names else None, place, output, checkpoint.columns(head.name))
        for place, (head, output) in enumerate(zip(heads, output_names(heads), strict=True))
    ]
