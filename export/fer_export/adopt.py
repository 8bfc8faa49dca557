"""Turn a third-party emotion network into a file that fer-edge runs: uint8 faces in, probabilities out, a contract."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_edge.console import hold_output
from fer_edge.errors import FerError, ModelError
from fer_edge.files import atomic_write, check_writable
from fer_edge.network import timed
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import MAX_TEXT_CHARS, METADATA_KEY, Contract, Head
from fer_edge.network.session import IN_MEMORY, RunError, load_model
from fer_export.adopted_heads import AdoptedHead, check_heads
from fer_export.graph.classifier import INPUT, OUTPUT, head_output
from fer_export.graph.onnx_file import drop_unused_nodes, strip_metadata, to_bytes, with_contract
from fer_export.graph.quiet import quiet
from fer_export.graph.third_party import read_third_party

PREFIX = "adopted_"  # of all names in the third-party graph, so that they can't clash with ours
BATCH = "batch"
PROBE_FACES = 4
UNUSABLE = "is not a usable ONNX file"  # as fer_edge's session says
MAX_SUM_ERROR = 1e-3  # as fer_edge's Classifier allows
MAX_BATCH_DELTA = 1e-4  # of a probability; other graphs may have layers whose rounding depends on the batch


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


def adopt(source: Path, adoption: Adoption, out: Path, overwrite: bool = False) -> Changes:
    """Write `source` to `out` with uint8 input, a softmax where it lacks one, and a contract.

    Raises OutputError if `out` can't be written, and ModelError, with nothing written, if the network is not what
    `adoption` says, or can't take more than one face at a time.
    """
    check_writable(out, overwrite)
    hold_output(out)
    model, read = read_third_party(source)
    with _named(source):
        load_model(to_bytes(model))  # its error says what is wrong with a file that is not a usable model
    changes = [*read, "uint8 input with normalization"]
    has_contract = METADATA_KEY in {entry.key for entry in model.metadata_props}
    strip_metadata(model)
    model = onnx.compose.add_prefix(model, PREFIX)
    keep_one_input(model, source, adoption, has_contract)
    left_out = keep_outputs(model, source, adoption)
    if free_batch(model):
        changes.append("free batch size")
    accept_faces(model, adoption)
    bare = without_softmax(model, source, adoption)
    for head in bare:
        add_softmax(model, adoption.output_of(head))
    if bare:
        some = f" of {', '.join(head.name for head in bare)}" if len(bare) < len(adoption.heads) else ""
        changes.append(f"softmax{some}")
    probe(model, source, adoption)
    data = to_bytes(with_contract(model, adoption.contract))
    with _named(source, "can't be adopted: "):
        for head in adoption.heads:
            Classifier(data, head=head.name or None)
    with atomic_write(out) as part:
        part.write_bytes(data)
    return Changes(tuple(changes), left_out)


@contextlib.contextmanager
def _named(source: Path, what: str = "") -> Iterator[None]:
    """Name the file `source` in an error about a model in memory that was made from it; `what` was to be done."""
    try:
        yield
    except RunError:
        raise  # `probe` says what may be wrong
    except FerError as error:
        text = str(error).replace(IN_MEMORY, source.name if what else str(source))
        raise ModelError(f"{source} {what}{text}" if what else text) from error


def keep_one_input(model: onnx.ModelProto, source: Path, adoption: Adoption, has_contract: bool = False) -> None:
    """Make the face the graph's only input; ModelError if its shape is not what `adoption` says.

    has_contract: whether `source` has one, and so needs no adoption.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"{source} has {len(inputs)} inputs, but only a network that takes one image of a face can be adopted"
        )
    kind, sides = inputs[0].type.tensor_type, _sides(inputs[0])
    if kind.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        if has_contract:
            raise ModelError(f"{source} takes {name} faces and has a contract already: fer-edge runs it as it is")
        raise ModelError(f"{source} takes {name} values, but only float networks can be adopted: convert it to float32")
    fits = len(sides) == 4 and all(side in (0, wanted) for side, wanted in zip(sides[1:], adoption.shape, strict=True))
    if not fits:
        wanted = ", ".join(map(str, adoption.shape))
        shown = _shown(inputs[0])
        raise ModelError(f"{source} takes [{shown}], not [N, {wanted}]: check --input-size, --color and --layout")
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    model.ir_version = max(model.ir_version, 4)  # before 4, initializers had to be inputs


def keep_outputs(model: onnx.ModelProto, source: Path, adoption: Adoption) -> tuple[str, ...]:
    """Keep the output of each head, as [N, labels] and in the heads' order, and only nodes that these need.

    Returns the names of the others. Raises ModelError if there is no such output, or none with a value per label.
    """
    given = {value.name.removeprefix(PREFIX): value for value in model.graph.output}
    chosen = [_output_for(head, given, source) for head in adoption.heads]
    del model.graph.output[:]
    for head, name in zip(adoption.heads, chosen, strict=True):
        output = adoption.output_of(head)
        model.graph.node.append(
            helper.make_node("Flatten", [PREFIX + name], [output], axis=1, name=f"flatten.{output}")
        )
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [BATCH, len(head.labels)]))
    drop_unused_nodes(model.graph)
    return tuple(name for name in given if name not in chosen)


def _output_for(head: AdoptedHead, given: Mapping[str, onnx.ValueInfoProto], source: Path) -> str:
    """The name of the output that `head` reads."""
    count = len(head.labels)
    if head.output and head.output not in given:
        raise ModelError(
            f"{source} has no output {head.output!r} for the head {head.name}: choose one of {', '.join(given)}"
        )
    possible = {head.output: given[head.output]} if head.output else given
    unknown = [name for name, value in possible.items() if not value.type.tensor_type.HasField("shape")]
    fitting = [name for name, value in possible.items() if name not in unknown and _holds(value, count)]
    if not fitting and not unknown:
        raise _misfit(source, head, "; ".join(map(_shown, possible.values())))
    name = [*fitting, *unknown][0]
    kind = given[name].type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        held = TensorProto.DataType.Name(kind).lower()
        raise ModelError(f"{source} gives {held} values in {name}, but only float outputs can be adopted")
    return name


def _holds(value: onnx.ValueInfoProto, count: int) -> bool:
    """Whether the tensor has `count` values per face, or may have."""
    return math.prod(side or count for side in _sides(value)[1:]) == count


def _shown(value: onnx.ValueInfoProto) -> str:
    return ", ".join(str(side) if side else "?" for side in _sides(value))


def _misfit(source: Path, head: AdoptedHead, sizes: str) -> ModelError:
    """What to say where outputs of `sizes` don't have a value per label of the head."""
    asked = f" in {head.output}, but the head {head.name}" if head.output else ", but --labels"
    return ModelError(f"{source} gives [{sizes}]{asked} names {len(head.labels)} emotions: name one per value")


def free_batch(model: onnx.ModelProto) -> bool:
    """Let the graph take any number of faces, in place; False if it already did. `probe` checks that it does."""
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    was_fixed = bool(batch.dim_value > 0)
    batch.dim_param = BATCH
    del model.graph.value_info[:]  # shapes with the old batch size
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in _constants(model):
        if was_fixed and tensor.name in shapes:
            values = numpy_helper.to_array(tensor).copy()
            if values.size > 1 and values[0] == 1:
                values[0] = 0  # ONNX reads it as the size of the input
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return was_fixed


def _constants(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The graph's constant tensors; those of Constant nodes have the name of their output."""
    found = list(model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                attribute.t.name = node.output[0]
                found.append(attribute.t)
    return found


def accept_faces(model: onnx.ModelProto, adoption: Adoption) -> None:
    """Put nodes before the graph that turn uint8 faces [N, C, H, W], RGB or gray, into what the network takes."""
    graph, channels = model.graph, adoption.channels
    constants = {
        "face.mean": np.broadcast_to(as_float32(adoption.mean), channels).reshape(1, channels, 1, 1),
        "face.std": np.broadcast_to(as_float32(adoption.std), channels).reshape(1, channels, 1, 1),
    }
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
    if adoption.color == "bgr":
        constants["face.channels"] = np.array([2, 1, 0], dtype=np.int64)
        steps.append(("Gather", ["face.channels"], {"axis": 1}))
    steps += [("Sub", ["face.mean"], {}), ("Div", ["face.std"], {})]
    if adoption.layout == "nhwc":
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    name, nodes = INPUT, []
    for place, (operator, others, attributes) in enumerate(steps):
        output = graph.input[0].name if place == len(steps) - 1 else f"face.{operator.lower()}"
        nodes.append(helper.make_node(operator, [name, *others], [output], name=f"front_{operator}", **attributes))
        name = output
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *inner])
    graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items())
    faces = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [BATCH, channels, *adoption.input_size])
    graph.input[0].CopyFrom(faces)


def without_softmax(model: onnx.ModelProto, source: Path, adoption: Adoption) -> list[AdoptedHead]:
    """The heads that get a softmax: as `adoption` says, or those whose outputs are not probabilities."""
    if adoption.softmax is not None:
        return list(adoption.heads) if adoption.softmax else []
    answers = probe(model, source, adoption)
    return [head for head, rows in zip(adoption.heads, answers, strict=True) if not are_probabilities(rows)]


def add_softmax(model: onnx.ModelProto, output: str) -> None:
    """Turn the values of `output` into probabilities."""
    logits = f"{output}.logits"
    last = next(node for node in model.graph.node if output in node.output)
    last.output[0] = logits
    model.graph.node.append(helper.make_node("Softmax", [logits], [output], axis=1, name=f"softmax.{output}"))


def probe(model: onnx.ModelProto, source: Path, adoption: Adoption) -> list[npt.NDArray[np.float32]]:
    """The model's outputs for random faces, each float32 [PROBE_FACES, labels].

    Raises ModelError if it can't be run, gives other than a value per label, or if a face alone and the same face in a
    batch have different outputs.
    """
    shape = (PROBE_FACES, adoption.channels, *adoption.input_size)
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        with quiet():
            onnx.checker.check_model(model)
        with _named(source):
            opened = load_model(to_bytes(model))
            runs = timed.first_run(lambda: [opened.run(None, {INPUT: face[None]}) for face in faces], str(source))
        alone: list[npt.NDArray[np.float32]] = [np.concatenate(rows) for rows in zip(*runs, strict=True)]
    except Exception as error:  # the onnx package has many kinds
        is_misfit = isinstance(error, RunError) or UNUSABLE in str(error)  # it was usable without the options
        if isinstance(error, ModelError) and not is_misfit:
            raise
        reason = _reason(error)
        raise ModelError(f"{source} can't be run on uint8 faces ({reason}): check the options against it") from error
    if not all(np.isfinite(rows).all() for rows in alone):
        raise ModelError(f"{source} gives values that are not numbers (such as NaN): check --mean and --std")
    try:
        together: list[npt.NDArray[np.float32]] = opened.run(None, {INPUT: faces})
    except RunError:  # one face works, so the batch is the cause
        together = [np.empty(0, np.float32)] * len(alone)
    if [rows.shape for rows in together] != [rows.shape for rows in alone]:
        raise ModelError(
            f"{source} takes one face at a time, and can't be made to take several: export it with a free batch size"
        )
    if not all(map(_are_close, together, alone)):
        raise ModelError(
            f"{source} gives a face other values in a batch than alone, as layers do that draw random numbers or mix "
            "the faces of a batch: export it in evaluation mode, with a free batch size"
        )
    for head, rows in zip(adoption.heads, together, strict=True):
        if rows.shape[1] != len(head.labels):  # the graph did not say how many values it gives
            raise _misfit(source, head, f"?, {rows.shape[1]}")
    return together


def _reason(error: BaseException) -> str:
    """What was wrong in the words of the package that said so first, short."""
    while not hasattr(error, "reason") and error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(getattr(error, "reason", error)).split())[:160]


def _are_close(together: npt.NDArray[np.float32], alone: npt.NDArray[np.float32]) -> bool:
    scale = max(1.0, float(np.abs(alone).max(initial=0)))
    return np.allclose(together, alone, rtol=0, atol=MAX_BATCH_DELTA * scale)


def as_float32(values: Sequence[float]) -> npt.NDArray[np.float32]:
    """The values as the graph holds them; too large ones become infinite, too small ones 0."""
    with np.errstate(over="ignore", under="ignore"):
        return np.array(values, dtype=np.float32)


def are_probabilities(rows: npt.NDArray[np.float32]) -> bool:
    """Whether rows [N, classes] are at least 0 and sum to 1."""
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=MAX_SUM_ERROR))


def _sides(value: onnx.ValueInfoProto) -> list[int]:
    """The sides of a tensor, 0 for a free one."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
