"""The contract: an ONNX file's labels, input and output, as JSON under the metadata key `fer.contract`.

fer-export writes it; the runtime reads it and holds no label list and no normalization itself.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from fer_edge.errors import ContractError
from fer_edge.guards.text import MAX_LABEL_CHARS, label_fault, same_label

METADATA_KEY = "fer.contract"
SCHEMA = 1
KINDS = ("classifier", "detector")
COLORS = ("grey", "rgb")
KEYS = {"color": "colour"}  # fields whose key in the file is spelled differently: released files have that spelling
FRAMING_KEYS = ("of_width", "of_height", "right", "down")
OUTPUTS = ("probabilities", "boxes")
HEAD_NAME = re.compile(r"[a-z0-9_-]{1,32}")
REPEATED_OF_HEAD = ("labels", "temperature", "min_confidence", "dataset", "accuracy", "class_mapping")
# A contract may be made to use up memory or to overflow the arithmetic, so its measures are bounded.
MAX_INPUT_PX = {"classifier": 512, "detector": 256}  # sides of a face; steps of a detector's image
MAX_WINDOW_PX, MAX_STRIDE, MAX_STRIDES = 512, 1024, 16
MAX_MEASURE = 100.0  # of a detector's lengths in strides and in boxes
MIN_FACTOR, MAX_FACTOR = 0.001, 1000.0  # of framing and temperature
MAX_LABELS = 1000
MAX_CONTRACT_CHARS, MAX_TEXT_CHARS, MAX_ERROR_CHARS = 1_000_000, 1000, 160
MAX_GATES, MAX_COUNT = 64, 2**63


@dataclass(frozen=True)
class SecondLook:
    """How a detector looks again at a box that it is unsure of: in a window around it, scaled to a fixed box size.

    window_px: side of the window that the network gets.
    face_px: side (square root of the area) of the box within it; boxes larger than this get no second look.
    least, most: the detector is unsure of scores from `least` up to, but not including, `most`; 0 to 1.
    """

    window_px: int
    face_px: int
    least: float
    most: float


@dataclass(frozen=True)
class DetectorContract:
    """A detector's part of the contract: how to read its outputs.

    strides: pixels between the cells of each grid, in the order of the outputs.
    side_in_strides: side, in strides, of a box whose logarithms of width and height are 0.
    score_threshold: lowest score of a face, 0 to 1; compared after the second look, if there is one.
    smallest_face_px: height of the smallest faces it was trained to find, in pixels of the searched image.
    framing: of_width, of_height, right, down of fer_edge.framing.Framing: from its box to the FER2013 square.
    second_look: None if it takes none.
    """

    strides: tuple[int, ...]
    side_in_strides: float
    score_threshold: float
    smallest_face_px: int
    framing: Mapping[str, float]
    second_look: SecondLook | None = None


@dataclass(frozen=True)
class Head:
    """One of several answers that a classifier gives about a face, each by its own output.

    name: what `--head` calls it. output: name of the ONNX output, float32 [N, labels] probabilities.
    labels, temperature, min_confidence, dataset: as of a Contract, for this head.
    accuracy: {"truth": what it was measured against, "split": str, "images": int, "accuracy": fraction 0-1}, as
        measured on this file, or None.
    confusion: how often each true label (row) got each label (column) in that measurement, in the order of `labels`;
        None if it was not measured.
    class_mapping: as of a Contract.
    """

    name: str
    output: str
    labels: tuple[str, ...]
    temperature: float = 1.0
    min_confidence: float = 0.0
    dataset: str = ""
    accuracy: Mapping[str, Any] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    class_mapping: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Contract:
    """The contract of one ONNX file.

    kind: "classifier" (faces to emotions) or "detector".
    labels: a classifier's classes in output order; a detector has none.
    input_size: [height, width] of the input in pixels; of a detector, the image's sides must be multiples of them.
    color: "grey" (1 channel) or "rgb" (3 channels, in that order); pixels are uint8 0 to 255, the graph normalizes
        them. Stored as "colour".
    framing: side of the square that the network expects, as a multiple of the FER2013 square (the square image that
        FER2013 would hold of the face).
    framing_down: how far that square lies below the FER2013 square's center, in sides of the FER2013 square; negative
        is further up.
    output: "probabilities": float32 [N, classes], rows sum to 1. "boxes": float32 [N, 5, cells], a logit and a box for
        each cell of the detector's grids (fer_edge.detectors.boxes.decode).
    temperature: the graph divides the logits by it.
    min_confidence: below this probability of its most probable label, 0 to 1, a face counts as unsure; 0: never.
    dataset: name of the training data.
    accuracy: {"split": str, "images": int, "accuracy": fraction 0-1} as measured on this file, or None.
    checkpoint_sha256: hash of the checkpoint it was exported from; "" for an adopted network.
    class_mapping: the label of each class of the training data, None for a class left out; {} if the classes are the
        labels. The runtime does not use it; evaluation does.
    failed_gates: names of fer-export's gates that the file fails, if it was written with --force.
    detector: how to read a detector's outputs; None for a classifier.
    heads: of a classifier that answers in several ways, in the order of its outputs; () for one with a single answer.
        The first is the default: labels, temperature, min_confidence, dataset, accuracy and class_mapping repeat its
        values.
    """

    kind: str
    labels: tuple[str, ...]
    input_size: tuple[int, int]
    color: str
    framing: float = 1.0
    framing_down: float = 0.0
    output: str = "probabilities"
    temperature: float = 1.0
    min_confidence: float = 0.0
    dataset: str = ""
    accuracy: Mapping[str, Any] | None = None
    checkpoint_sha256: str = ""
    failed_gates: tuple[str, ...] = ()
    class_mapping: Mapping[str, str | None] = field(default_factory=dict)
    detector: DetectorContract | None = None
    heads: tuple[Head, ...] = ()

    def head(self, name: str | None, file: str = "the model") -> Head | None:
        """The head called `name`, the default head for None; None for a file with a single answer.

        Raises ContractError, which names the heads of `file`, if there is none of that name.
        """
        if name is None:
            return self.heads[0] if self.heads else None
        for head in self.heads:
            if head.name == name:
                return head
        known = ", ".join(head.name for head in self.heads)
        advice = f"choose one of {known}" if known else "it gives a single answer, leave the head out"
        raise ContractError(f"{file} has no head {name!r}: {advice}")

    def with_heads(self, heads: Sequence[Head]) -> "Contract":
        """This contract with `heads`, whose first one becomes the default."""
        first = heads[0]
        repeated = {name: getattr(first, name) for name in REPEATED_OF_HEAD}
        return replace(self, heads=tuple(heads), **repeated)

    def to_json(self) -> str:
        """The metadata value; equal contracts give equal strings."""
        values = {"schema": SCHEMA} | asdict(self)
        for name, key in KEYS.items():
            values[key] = values.pop(name)
        for name in ("class_mapping", "detector", "framing_down", "heads", "min_confidence"):  # absent from most files
            if not values[name]:
                del values[name]
        for head in values.get("heads", ()):
            if not head["class_mapping"]:
                del head["class_mapping"]
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return 1 if self.color == "grey" else 3


def parse_contract(text: str, file: str) -> Contract:
    """Read the metadata value `text` of `file` (named in errors); ContractError if it can't be used."""
    if len(text) > MAX_CONTRACT_CHARS:
        raise ContractError(
            f"{file}: its {METADATA_KEY} has {len(text):,} characters, more than {MAX_CONTRACT_CHARS:,}: "
            "export the model again"
        )
    try:
        values = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()  # raises UnicodeEncodeError for half a surrogate pair
    except (ValueError, RecursionError) as error:
        raise ContractError(
            f"{file}: its {METADATA_KEY} is not JSON ({_short(error)}): export the model again"
        ) from error
    if not isinstance(values, dict):
        raise ContractError(f"{file}: its {METADATA_KEY} is not a JSON object: export the model again")
    schema = values.pop("schema", None)
    if schema != SCHEMA:
        raise ContractError(
            f"{file}: its contract has schema {schema!r:.80}, but this fer-edge reads {SCHEMA}: "
            "update fer-edge, or export the model again"
        )
    known = {one.name for one in fields(Contract)}
    for name, key in KEYS.items():
        if key in values:
            values[name] = values.pop(key)
    try:
        for name in ("labels", "input_size", "failed_gates", "heads"):
            if not isinstance(values.get(name, []), list):
                raise TypeError(f"{name} is not a list")
        (*labels,), (height, width) = values["labels"], values["input_size"]
        failed = tuple(values.get("failed_gates", ()))
        values |= {"labels": tuple(labels), "input_size": (height, width), "failed_gates": failed}
        if values.get("detector") is not None:
            values["detector"] = _parse_detector(values["detector"])
        values["heads"] = _parse_heads(values["heads"]) if "heads" in values else ()
        contract = Contract(**{name: value for name, value in values.items() if name in known})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ContractError(
            f"{file}: its contract is incomplete or malformed ({_short(error)}): export the model again"
        ) from error
    _validate(contract, file)
    return contract


def _short(error: Exception) -> str:
    return str(error)[:MAX_ERROR_CHARS]


def _parse_heads(values: Any) -> tuple[Head, ...]:
    """The heads; KeyError or TypeError if something in them is missing or malformed."""
    if not isinstance(values, list) or not values or not all(isinstance(head, dict) for head in values):
        raise TypeError("heads must list one head or more")
    return tuple(map(_parse_head, values))


def _parse_head(values: Mapping[str, Any]) -> Head:
    if missing := {"name", "output", "labels"} - set(values):
        raise TypeError(f"a head has no {min(missing)}")
    known = {one.name: values[one.name] for one in fields(Head) if one.name in values}
    if not isinstance(values["labels"], list):
        raise TypeError("a head's labels must be a list")
    rows = values.get("confusion")
    confusion = None if rows is None else tuple(map(tuple, rows))
    return Head(**known | {"labels": tuple(values["labels"]), "confusion": confusion})


def _parse_detector(values: Any) -> DetectorContract:
    """A detector's part; KeyError, TypeError or ValueError if something in it is missing or malformed."""
    if not isinstance(values["strides"], list):
        raise TypeError("strides is not a list")
    (*strides,) = values["strides"]
    framing = {name: float(values["framing"][name]) for name in FRAMING_KEYS}
    look = values.get("second_look")
    if look is not None:
        look = SecondLook(**{one.name: look[one.name] for one in fields(SecondLook)})
    known = {one.name: values[one.name] for one in fields(DetectorContract) if one.name != "second_look"}
    return DetectorContract(**known | {"strides": tuple(strides), "framing": framing, "second_look": look})


def _validate(contract: Contract, file: str) -> None:
    """Raise ContractError for the first field of the wrong type or out of range."""
    if contract.heads and (fault := _fault_of_heads(contract)):
        raise ContractError(f"{file}: in its contract, {fault}: export the model again")
    for name, expected in _problems(contract):
        raise ContractError(
            f"{file}: its contract says {KEYS.get(name, name)} {getattr(contract, name)!r:.120}, not {expected}: "
            "export the model again"
        )


def _problems(contract: Contract) -> Iterator[tuple[str, str]]:
    """The name of each field of the wrong type or out of range, and what it should be."""
    outputs = OUTPUTS[:1] if contract.kind == "classifier" else OUTPUTS[1:]
    for name, allowed in (("kind", KINDS), ("color", COLORS), ("output", outputs)):
        if getattr(contract, name) not in allowed:
            yield name, " or ".join(allowed)
    labels, fewest = contract.labels, 2 if contract.kind == "classifier" else 0
    if not _are_labels(labels, fewest):
        yield "labels", f"{fewest} or more different names of up to {MAX_LABEL_CHARS} printable characters"
    most = MAX_INPUT_PX["classifier" if contract.kind == "classifier" else "detector"]
    if not all(type(side) is int and 0 < side <= most for side in contract.input_size):
        yield "input_size", f"height and width in pixels, at most {most}"
    for name in ("dataset", "checkpoint_sha256"):
        if not _is_text(getattr(contract, name)):
            yield name, f"a text of at most {MAX_TEXT_CHARS} characters"
    if not _is_accuracy(contract.accuracy):
        yield "accuracy", "null, or accuracy from 0 to 1, a number of images, split and truth"
    if len(contract.failed_gates) > MAX_GATES or not all(map(_is_text, contract.failed_gates)):
        yield "failed_gates", "names"
    if not _is_mapping(contract.class_mapping, labels):
        yield "class_mapping", "a label or null for each class"
    for name in ("framing", "temperature"):
        if not _is_positive(getattr(contract, name)):
            yield name, f"a number from {MIN_FACTOR:g} to {MAX_FACTOR:g}"
    if type(contract.framing_down) not in (int, float) or not abs(contract.framing_down) <= 1:
        yield "framing_down", "a number from -1 to 1"
    if not _is_confidence(contract.min_confidence):
        yield "min_confidence", "a number from 0 to below 1"
    if contract.kind == "detector" and (contract.detector is None or not _is_valid_detector(contract.detector)):
        expected = "strides, side_in_strides, score_threshold between 0 and 1, smallest_face_px, framing"
        yield "detector", f"{expected} and, optionally, second_look"


def _are_labels(labels: object, fewest: int) -> bool:
    return (
        isinstance(labels, tuple)
        and all(isinstance(label, str) and label_fault(label) is None for label in labels)
        and fewest <= len(set(map(same_label, labels))) == len(labels) <= MAX_LABELS
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT_CHARS


def _is_accuracy(value: object) -> bool:
    """Whether reports can hold `value`: any texts and finite numbers, and fer-export's own in their range."""
    if value is None:
        return True
    if not isinstance(value, dict) or not all(
        _is_text(one) or (type(one) in (int, float) and abs(one) <= MAX_COUNT) for one in value.values()
    ):
        return False
    right, images = value.get("accuracy", 0), value.get("images", 0)
    texts = (value.get("split", ""), value.get("truth", ""))
    return (
        type(images) is int
        and images >= 0
        and not isinstance(right, str)
        and 0 <= right <= 1
        and all(isinstance(text, str) for text in texts)
    )


def _is_mapping(mapping: object, labels: tuple[str, ...]) -> bool:
    return isinstance(mapping, dict) and all(to is None or to in labels for to in mapping.values())


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and MIN_FACTOR <= value <= MAX_FACTOR  # type: ignore[operator]


def _is_confidence(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1  # type: ignore[operator]


def _fault_of_heads(contract: Contract) -> str | None:
    """What is wrong with the heads, and with which; None if nothing is."""
    heads = contract.heads
    for head in heads:
        if wrong := next((name for name, is_valid in _checks_of_head(head) if not is_valid), None):
            fit = f" for its {len(head.labels)} labels" * (wrong == "confusion")
            return f"{wrong} of the head {head.name!r:.40} can't be {getattr(head, wrong)!r:.80}{fit}"
    if not len({head.name for head in heads}) == len({head.output for head in heads}) == len(heads):
        return "two heads have one name, or one output"
    for name in ("labels", "temperature"):
        if getattr(contract, name) != getattr(heads[0], name):
            return f"{name} {getattr(contract, name)!r:.80} is not that of its first head, {heads[0].name}"
    return "a detector has heads" if contract.kind != "classifier" else None


def _checks_of_head(head: Head) -> Iterator[tuple[str, bool]]:
    """The fields of a head, and whether each can be used."""
    for name in ("name", "output"):
        yield name, isinstance(getattr(head, name), str) and HEAD_NAME.fullmatch(getattr(head, name)) is not None
    yield "labels", _are_labels(head.labels, 2)
    yield "temperature", _is_positive(head.temperature)
    yield "min_confidence", _is_confidence(head.min_confidence)
    yield "dataset", _is_text(head.dataset)
    yield "accuracy", _is_accuracy(head.accuracy)
    yield "class_mapping", _is_mapping(head.class_mapping, head.labels)
    yield "confusion", head.confusion is None or _is_confusion(head.confusion, len(head.labels))


def _is_confusion(rows: tuple[tuple[int, ...], ...], size: int) -> bool:
    return len(rows) == size and all(
        len(row) == size and all(type(count) is int and count >= 0 for count in row) for row in rows
    )


def _is_valid_detector(terms: DetectorContract) -> bool:
    counts = (*terms.strides, terms.smallest_face_px)
    measures = (terms.side_in_strides, *terms.framing.values())
    return (
        0 < len(terms.strides) <= MAX_STRIDES
        and all(type(value) is int and 0 < value <= MAX_STRIDE for value in counts)
        and all(type(value) in (int, float) and abs(value) < MAX_MEASURE for value in measures)
        and type(terms.score_threshold) is float
        and 0 < terms.score_threshold < 1
        and terms.side_in_strides > 0
        and max(terms.framing["of_width"], terms.framing["of_height"]) > 0
        and (terms.second_look is None or _is_valid_second_look(terms.second_look))
    )


def _is_valid_second_look(look: SecondLook) -> bool:
    return (
        type(look.face_px) is type(look.window_px) is int
        and 0 < look.face_px < look.window_px <= MAX_WINDOW_PX
        and type(look.least) is type(look.most) is float
        and 0 < look.least < look.most < 1
    )
