"""The checkpoint best.pt: weights, heads, and all that is needed to rebuild, export and trust the network."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_edge.files import atomic_write
from fer_train.data import FACE_SIZE
from fer_train.networks import Network, build_network
from fer_train.networks.heads import Head, columns, find_head, head_name
from fer_train.networks.normalization import MEAN, STD

SCHEMA = 2
ONE_HEAD_SCHEMA = 1  # of checkpoints from before there were heads
HEAD_ROWS = ("classifier.weight", "classifier.bias")


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
    """Write `checkpoint` to `path`, atomically; OutputError if that can't be done."""
    save_tensors(_to_stored(checkpoint), path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what save_checkpoint wrote; no code in the file is executed (weights_only).

    A checkpoint from before there were heads has one, named after its data set.
    Raises ModelError if `path` is missing, truncated, not a checkpoint of fer-train, or of another schema.
    """
    hint = "name the best.pt that fer-train wrote"
    values = load_tensors(path, hint)
    if "schema" not in values:
        raise ModelError(f"{path} is not a checkpoint of fer-train: {hint}")
    schema = values.pop("schema")
    if schema not in (SCHEMA, ONE_HEAD_SCHEMA):
        raise ModelError(f"{path} was written by another version of fer-train: train again, or use that version")
    try:
        if schema == ONE_HEAD_SCHEMA:
            values = _with_one_head(values)
        heads = tuple(Head(**head | {"classes": tuple(head["classes"])}) for head in values["heads"])
        checkpoint = Checkpoint(**values | {"heads": heads})
        _check(checkpoint)
        return checkpoint
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise ModelError(f"{path} is not a checkpoint of fer-train ({error}): {hint}") from error


def _check(checkpoint: Checkpoint) -> None:
    """ValueError if the heads don't fit the classifier's rows."""
    names = [head.name for head in checkpoint.heads]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"its heads are {', '.join(names) or 'missing'}")


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


def save_tensors(values: Mapping[str, Any], path: Path) -> None:
    """Write `values` to `path` with torch.save, atomically; OutputError if that can't be done."""
    buffer = io.BytesIO()  # torch's own writer raises a bare RuntimeError when the disk is full
    torch.save(dict(values), buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_tensors(path: Path, hint: str) -> dict[str, Any]:
    """Read what save_tensors wrote, onto the CPU; a ModelError that ends in `hint` if `path` is another file."""
    if not path.is_file():
        raise ModelError(f"{path} is not a file: {hint}")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
    except Exception as error:  # torch and pickle raise a dozen unrelated types on damaged files
        raise ModelError(f"{path} is not a checkpoint, or is damaged: {hint}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a checkpoint of fer-train: {hint}")
    return values
