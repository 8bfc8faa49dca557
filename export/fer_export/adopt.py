"""Turn a third-party emotion network into a file that fer-edge runs: uint8 faces in, probabilities out, a contract."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import FerError, ModelError
from fer_edge.files import atomic_write, check_writable
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import Contract
from fer_edge.network.session import IN_MEMORY, open_session
from fer_export.graph.classifier import INPUT, OUTPUT
from fer_export.graph.onnx_file import strip_metadata, to_bytes, with_contract
from fer_export.graph.quiet import quiet

PREFIX = "adopted_"  # of all names in the third-party graph, so that they can't clash with ours
BATCH = "batch"
PROBE_FACES = 4
MAX_SUM_ERROR = 1e-3  # as fer_edge's Classifier allows
MAX_BATCH_DELTA = 1e-4  # of a probability; other graphs may have layers whose rounding depends on the batch


@dataclass(frozen=True)
class Adoption:
    """What must be known about a third-party network.

    labels: in output order. input_size: (height, width) in pixels. color: "grey", "rgb" or "bgr". layout: "nchw" or
    "nhwc". mean, std: of the input in 0 to 255 units, one per channel in the network's own order, or one for all.
    softmax: whether to add one; None: if its outputs are not probabilities. framing, dataset, min_confidence: as
    in the contract.

    Raises ValueError, which names the field, if mean or std don't fit.
    """

    labels: tuple[str, ...]
    input_size: tuple[int, int]
    color: str
    layout: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    softmax: bool | None = None
    framing: float = 1.0
    dataset: str = ""
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels) or not all(map(math.isfinite, values)):
                raise ValueError(f"{name} must be 1 or {self.channels} finite numbers")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")

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
        return Contract(
            kind="classifier",
            labels=self.labels,
            input_size=self.input_size,
            color="grey" if self.color == "grey" else "rgb",
            framing=self.framing,
            dataset=self.dataset,
            min_confidence=self.min_confidence,
        )


def adopt(source: Path, adoption: Adoption, out: Path, overwrite: bool = False) -> list[str]:
    """Write `source` to `out` with uint8 input, a softmax if it lacks one, and a contract; returns the changes.

    Raises OutputError if `out` can't be written, and ModelError, with nothing written, if the network is not what
    `adoption` says, or can't take more than one face at a time.
    """
    check_writable(out, overwrite)
    open_session(source)  # its error says what is wrong with a file that is not a usable model
    model = onnx.load(source)
    changes = ["uint8 input with normalization"]
    strip_metadata(model)
    model = onnx.compose.add_prefix(model, PREFIX)
    keep_one_input(model, source, adoption)
    keep_one_output(model, source, adoption)
    if free_batch(model):
        changes.append("free batch size")
    accept_faces(model, adoption)
    missing = adoption.softmax
    if missing is None:
        missing = not are_probabilities(probe(model, source, adoption))
    if missing:
        add_softmax(model)
        changes.append("softmax")
    probe(model, source, adoption)
    data = to_bytes(with_contract(model, adoption.contract))
    try:
        Classifier(data)
    except FerError as error:
        raise ModelError(f"{source} can't be adopted: {str(error).replace(IN_MEMORY, source.name)}") from error
    with atomic_write(out) as part:
        part.write_bytes(data)
    return changes


def keep_one_input(model: onnx.ModelProto, source: Path, adoption: Adoption) -> None:
    """Make the face the graph's only input; ModelError if its shape is not what `adoption` says."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ModelError(
            f"{source} has {len(inputs)} inputs, but only a network that takes one image of a face can be adopted"
        )
    kind, sides = inputs[0].type.tensor_type, _sides(inputs[0])
    if kind.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        raise ModelError(f"{source} takes {name} values, but only float networks can be adopted: convert it to float32")
    fits = len(sides) == 4 and all(side in (0, wanted) for side, wanted in zip(sides[1:], adoption.shape, strict=True))
    if not fits:
        wanted = ", ".join(map(str, adoption.shape))
        shown = ", ".join(str(side) if side else "?" for side in sides)
        raise ModelError(f"{source} takes [{shown}], not [N, {wanted}]: check --input-size, --color and --layout")
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    model.ir_version = max(model.ir_version, 4)  # before 4, initializers had to be inputs


def keep_one_output(model: onnx.ModelProto, source: Path, adoption: Adoption) -> None:
    """Keep the one output with a value per label, as [N, labels]; ModelError if there is none."""
    outputs, count = list(model.graph.output), len(adoption.labels)
    fitting = [value for value in outputs if math.prod(side or count for side in _sides(value)[1:]) == count]
    if len(outputs) > 1:
        fitting = fitting[:1]
    if not fitting:
        sizes = "; ".join(", ".join(str(side) if side else "?" for side in _sides(value)) for value in outputs)
        raise ModelError(f"{source} gives [{sizes}], but --labels names {count} emotions: name one per value")
    flatten = helper.make_node("Flatten", [fitting[0].name], [OUTPUT], axis=1, name="flatten")
    model.graph.node.append(flatten)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [BATCH, count]))


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
        "face_mean": np.broadcast_to(np.array(adoption.mean, dtype=np.float32), channels).reshape(1, channels, 1, 1),
        "face_std": np.broadcast_to(np.array(adoption.std, dtype=np.float32), channels).reshape(1, channels, 1, 1),
    }
    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
    if adoption.color == "bgr":
        constants["face_channels"] = np.array([2, 1, 0], dtype=np.int64)
        steps.append(("Gather", ["face_channels"], {"axis": 1}))
    steps += [("Sub", ["face_mean"], {}), ("Div", ["face_std"], {})]
    if adoption.layout == "nhwc":
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    name, nodes = INPUT, []
    for place, (operator, others, attributes) in enumerate(steps):
        output = graph.input[0].name if place == len(steps) - 1 else f"face_{operator.lower()}"
        nodes.append(helper.make_node(operator, [name, *others], [output], name=f"front_{operator}", **attributes))
        name = output
    inner = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *inner])
    graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in constants.items())
    faces = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [BATCH, channels, *adoption.input_size])
    graph.input[0].CopyFrom(faces)


def add_softmax(model: onnx.ModelProto) -> None:
    """Turn the output into probabilities."""
    model.graph.node[-1].output[0] = "logits"
    model.graph.node.append(helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1, name="softmax"))


def probe(model: onnx.ModelProto, source: Path, adoption: Adoption) -> npt.NDArray[np.float32]:
    """The model's output for random faces, float32 [PROBE_FACES, labels].

    Raises ModelError if it can't be run, or if a face alone and the same face in a batch have different outputs.
    """
    shape = (PROBE_FACES, adoption.channels, *adoption.input_size)
    faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        with quiet():
            onnx.checker.check_model(model)
        session = open_session(to_bytes(model))
        alone = np.concatenate([session.run(None, {INPUT: face[None]})[0] for face in faces])
    except Exception as error:  # onnx and onnxruntime have many kinds
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{source} can't be run on uint8 faces ({reason}): check the options against it") from error
    try:
        together: npt.NDArray[np.float32] = session.run(None, {INPUT: faces})[0]
    except Exception:  # noqa: BLE001 - one face works, so the batch is the cause
        together = np.empty(0, np.float32)
    scale = max(1.0, float(np.abs(alone).max()))
    if together.shape != alone.shape or not np.allclose(together, alone, rtol=0, atol=MAX_BATCH_DELTA * scale):
        raise ModelError(
            f"{source} takes one face at a time, and can't be made to take several: export it with a free batch size"
        )
    return together


def are_probabilities(rows: npt.NDArray[np.float32]) -> bool:
    """Whether rows [N, classes] are at least 0 and sum to 1."""
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=MAX_SUM_ERROR))


def _sides(value: onnx.ValueInfoProto) -> list[int]:
    """The sides of a tensor, 0 for a free one."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
