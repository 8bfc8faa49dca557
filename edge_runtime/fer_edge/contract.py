"""What an ONNX file says about itself: labels, input and output, under the metadata key `fer.contract`.

The runtime holds no label list and no normalisation of its own; it reads this. fer-export writes it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from fer_edge.errors import ContractError

METADATA_KEY = "fer.contract"
SCHEMA = 1
KINDS = ("classifier", "detector")
COLOURS = ("grey", "rgb")
OUTPUTS = ("probabilities", "boxes")


@dataclass(frozen=True)
class Contract:
    """The contract of one ONNX file.

    kind: "classifier" (faces to emotions) or "detector".
    labels: a classifier's classes in output order.
    input_size: [height, width] of the input in pixels.
    colour: "grey" (1 channel) or "rgb" (3 channels, that order); pixels are uint8 0 to 255 and the
        graph normalises them itself.
    framing: side of the square that the network wants to see, as a multiple of the FER2013 square
        (the square picture that FER2013 would hold of the face).
    output: "probabilities": float32 [N, classes], rows sum to 1.
    temperature: the logits were divided by it inside the graph.
    dataset: name of what it was trained on.
    accuracy: {"split": str, "images": int, "accuracy": fraction 0-1} measured on this very file, or None.
    checkpoint_sha256: hash of the checkpoint it was made from, or "" for an adopted network.
    failed_gates: names of fer-export's bounds that the file does not keep, if it was written with --force.
    """

    kind: str
    labels: tuple[str, ...]
    input_size: tuple[int, int]
    colour: str
    framing: float = 1.0
    output: str = "probabilities"
    temperature: float = 1.0
    dataset: str = ""
    accuracy: Mapping[str, Any] | None = None
    checkpoint_sha256: str = ""
    failed_gates: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The metadata value; equal contracts give equal strings."""
        return json.dumps({"schema": SCHEMA} | asdict(self), sort_keys=True, separators=(",", ":"))

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 1 if self.colour == "grey" else 3


def parse_contract(text: str, file: str) -> Contract:
    """Read the metadata value of `file` (named in errors); ContractError if it can't be used."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{file}: its {METADATA_KEY} is not JSON ({error}): export the model again") from error
    if not isinstance(values, dict):
        raise ContractError(f"{file}: its {METADATA_KEY} is not a JSON object: export the model again")
    schema = values.pop("schema", None)
    if schema != SCHEMA:
        raise ContractError(
            f"{file}: its contract has schema {schema!r}, and this fer-edge knows {SCHEMA}: "
            "update fer-edge, or export the model again"
        )
    known = {field.name for field in fields(Contract)}
    try:
        (*labels,), (height, width) = values["labels"], values["input_size"]
        failed = tuple(values.get("failed_gates", ()))
        values |= {"labels": tuple(labels), "input_size": (height, width), "failed_gates": failed}
        contract = Contract(**{name: value for name, value in values.items() if name in known})
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{file}: its contract lacks or garbles {error}: export the model again") from error
    for name, wanted in _faults(contract):
        raise ContractError(
            f"{file}: its contract says {name} {getattr(contract, name)!r}, not {wanted}: export the model again"
        )
    return contract


def _faults(contract: Contract) -> Iterator[tuple[str, str]]:
    """The name of each field that can't be as it is, and what it should be."""
    outputs = OUTPUTS[:1] if contract.kind == "classifier" else OUTPUTS
    for name, allowed in (("kind", KINDS), ("colour", COLOURS), ("output", outputs)):
        if getattr(contract, name) not in allowed:
            yield name, " or ".join(allowed)
    labels, fewest = contract.labels, 2 if contract.kind == "classifier" else 0
    if not all(isinstance(label, str) and label for label in labels) or not fewest <= len(set(labels)) == len(labels):
        yield "labels", f"{fewest} or more different names"
    if not all(type(side) is int and side > 0 for side in contract.input_size):
        yield "input_size", "height and width in pixels"
    if not all(isinstance(gate, str) for gate in contract.failed_gates):
        yield "failed_gates", "names"
    for name in ("framing", "temperature"):
        value = getattr(contract, name)
        if type(value) not in (int, float) or not 0 < value < math.inf:
            yield name, "a number above 0"
