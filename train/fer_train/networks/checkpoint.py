"""The checkpoint best.pt: weights, heads, and all that is needed to rebuild, export and trust the network."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_edge.guards.text import label_fault, same_label
from fer_edge.network.contract import MAX_FACTOR, MAX_INPUT_PX, MAX_LABELS, MIN_FACTOR
from fer_train.data import FACE_SIZE
from fer_train.network_names import network_names
from fer_train.networks import Network, build_network
from fer_train.networks.heads import Head, columns, find_head, head_name
from fer_train.networks.normalization import MEAN, STD
from fer_train.tensor_files import check_finite, check_weights, is_plain, load_tensors, save_tensors

SCHEMA = 2
ONE_HEAD_SCHEMA = 1  # of checkpoints from before there were heads
HEAD_ROWS = ("classifier.weight", "classifier.bias")
MAX_HEADS = 64
MAX_NAME = 1000  # characters of a data set's name


@dataclass(frozen=True)
class Checkpoint:
    """A trained network as best.pt stores it.

    model: its name for `--model`. heads: in the order of their rows in the classifier; the first is the default one.
    state_dict: its weights, on the CPU. input_size: pixels per side. mean, std: of the input, in 0 to 255 units.
    options: how the network was trained.
    classes, temperature, metrics, dataset, class_mapping: the first head's.
    """

    model: str
    heads: tuple[Head, ...]
    state_dict: Mapping[str, Tensor]
    input_size: int = FACE_SIZE
    mean: float = MEAN
    std: float = STD
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.heads[0].classes

    @property
    def temperature(self) -> float:
        return self.heads[0].temperature

    @property
    def metrics(self) -> dict[str, Any]:
        return self.heads[0].metrics

    @property
    def dataset(self) -> str:
        return self.heads[0].dataset

    @property
    def class_mapping(self) -> Mapping[str, str | None]:
        return self.heads[0].class_mapping

    def head(self, name: str | None = None) -> Head:
        """The head called `name`, or the first one; ModelError, which names the heads, if there is none."""
        return find_head(self.heads, name)

    def columns(self, name: str | None = None) -> slice:
        """The columns of the logits that are this head's."""
        return columns(self.heads)[self.head(name).name]

    def only(self, names: Sequence[str]) -> "Checkpoint":
        """The same network with these heads, in this order; ModelError for a head it doesn't have."""
        heads = tuple(self.head(name) for name in names)
        rows = [torch.arange(self.columns(name).start, self.columns(name).stop) for name in names]
        chosen = {name: self.state_dict[name][torch.cat(rows)] for name in HEAD_ROWS}
        return replace(self, heads=heads, state_dict=dict(self.state_dict) | chosen)

    def with_head(self, name: str) -> "Checkpoint":
        """The same network with the head `name` first; ModelError if it has none of that name."""
        return self.only([self.head(name).name, *(head.name for head in self.heads if head.name != name)])

    def network(self) -> Network:
        """The network with these weights, in evaluation mode; ModelError if they don't fit it."""
        network = build_network(self.model, sum(len(head.classes) for head in self.heads))
        try:
            network.load_state_dict(dict(self.state_dict))
        except RuntimeError as error:
            detail = str(error).splitlines()[-1].strip()
            raise ModelError(f"the weights are not those of the network {self.model}: {detail}") from error
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, atomically; OutputError if that can't be done.

    Raises ModelError, and writes nothing, if a weight is not a finite number.
    """
    with _named(path):
        check_finite(checkpoint.state_dict)
    save_tensors(_to_stored(checkpoint), path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what save_checkpoint wrote; no code in the file is executed (weights_only).

    A checkpoint from before there were heads has one, named after its data set.
    Raises ModelError if `path` is missing, truncated, not a checkpoint of fer-train, or of another schema, or if a
    value in it can't be used.
    """
    hint = "name the best.pt that fer-train wrote"
    values = load_tensors(path, hint)
    if "detector" in values:
        raise ModelError(f"{path} is a face detector, which fer-export detector exports: {hint}")
    if "schema" not in values:
        raise ModelError(f"{path} is not a checkpoint of fer-train: {hint}")
    schema = values.pop("schema")
    if type(schema) is not int or schema not in (SCHEMA, ONE_HEAD_SCHEMA):
        raise ModelError(f"{path} was written by another version of fer-train: train again, or use that version")
    try:
        if schema == ONE_HEAD_SCHEMA:
            values = _with_one_head(values)
        stored = values["heads"]
        if not isinstance(stored, list | tuple) or not all(isinstance(head, dict) for head in stored):
            raise TypeError("its heads are not a list")
        if not all(isinstance(head["classes"], list | tuple) for head in stored):
            raise TypeError("a head's classes are not a list")
        heads = tuple(Head(**head | {"classes": tuple(head["classes"])}) for head in stored)
        checkpoint = Checkpoint(**values | {"heads": heads})
        with _named(path):
            _check(checkpoint)
        return checkpoint
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise ModelError(f"{path} is not a checkpoint of fer-train ({error}): {hint}") from error


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put `path` before a ModelError about its weights."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path} {error}") from error


def _check(checkpoint: Checkpoint) -> None:
    """ValueError for the first value of the wrong type or out of range, ModelError for weights that are not numbers."""
    for fault in _faults(checkpoint):
        raise ValueError(fault)
    outputs = sum(len(head.classes) for head in checkpoint.heads)
    check_weights(checkpoint.state_dict, _layout(checkpoint.model, outputs), f"the network {checkpoint.model}")


def _faults(checkpoint: Checkpoint) -> Iterator[str]:
    if not isinstance(checkpoint.model, str) or checkpoint.model not in network_names():
        yield f"there is no network {checkpoint.model!r:.80}"
    names = [head.name for head in checkpoint.heads]
    if not 0 < len(set(names)) == len(names) <= MAX_HEADS:
        yield f"its heads are {', '.join(names)[:200] or 'missing'}"
    for head in checkpoint.heads:
        yield from (f"of its head {head.name}, {fault}" for fault in _faults_of_head(head))
    if type(checkpoint.input_size) is not int or not 0 < checkpoint.input_size <= MAX_INPUT_PX["classifier"]:
        yield f"its input size is {checkpoint.input_size!r:.80}"
    if not _is_number(checkpoint.mean, 0, 255) or not _is_number(checkpoint.std, MIN_FACTOR, MAX_FACTOR):
        yield f"its normalization is {checkpoint.mean!r:.80}, {checkpoint.std!r:.80}"
    if not is_plain(checkpoint.options):
        yield "its options are not values by name"


def _faults_of_head(head: Head) -> Iterator[str]:
    classes = head.classes
    for name in classes:
        if not isinstance(name, str) or (fault := label_fault(name)) is not None:
            yield f"{name!r:.80} is not a class name" + (f": {fault}" if isinstance(name, str) else "")
            return
    if not 2 <= len(set(map(same_label, classes))) == len(classes) <= MAX_LABELS:
        yield f"the classes are not 2 to {MAX_LABELS} different ones"
    if not _is_number(head.temperature, MIN_FACTOR, MAX_FACTOR):
        yield f"the temperature is {head.temperature!r:.80}, not a number from {MIN_FACTOR:g} to {MAX_FACTOR:g}"
    if not _is_number(head.min_confidence, 0, 1) or head.min_confidence == 1:
        yield f"min_confidence is {head.min_confidence!r:.80}, not a number from 0 to below 1"
    if not all(isinstance(text, str) and len(text) <= MAX_NAME for text in (head.dataset, head.truth)):
        yield "the data set or the truth is not a name"
    if not is_plain(head.metrics):
        yield "the metrics are not values by name"
    mapping = head.class_mapping
    if not is_plain(mapping) or not all(to is None or to in classes for to in mapping.values()):
        yield "the class mapping names other classes"


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _layout(model: str, outputs: int) -> Mapping[str, Tensor]:
    """The names, shapes and types of a network's weights, without any memory for them."""
    with torch.device("meta"):
        return build_network(model, outputs).state_dict()


def _to_stored(checkpoint: Checkpoint) -> dict[str, Any]:
    stored = asdict(checkpoint) | {"schema": SCHEMA}
    for head in stored["heads"]:
        head["classes"], head["class_mapping"] = list(head["classes"]), dict(head["class_mapping"])
    return stored | {"heads": list(stored["heads"])}


def _with_one_head(values: dict[str, Any]) -> dict[str, Any]:
    """The values of schema 1, whose head had no name, as those of schema 2."""
    kept = ("model", "state_dict", "input_size", "mean", "std", "options")
    head = {name: value for name, value in values.items() if name not in kept}
    head["name"] = head_name(head.get("dataset", ""))
    return {name: value for name, value in values.items() if name in kept} | {"heads": [head]}
