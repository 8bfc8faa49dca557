"""The checkpoint best.pt: weights, and all that is needed to rebuild, export and trust the network."""

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_edge.files import atomic_write
from fer_train.data import FACE_SIZE
from fer_train.networks import Network, build_network
from fer_train.networks.normalization import MEAN, STD

SCHEMA = 1


@dataclass(frozen=True)
class Checkpoint:
    """A trained network as best.pt stores it.

    model: its name for `--model`. state_dict: its weights, on the CPU.
    classes: labels in output order. class_mapping: what each class of the training data became, as in
        FaceData.class_mapping; empty if the data has these classes.
    input_size: pixels per side. mean, std: of the input, in 0 to 255 units.
    temperature: logits are divided by it before the softmax (Guo et al. 2017).
    dataset: name of the data file. metrics: as in metrics.json. options: how the network was trained.
    """

    model: str
    classes: tuple[str, ...]
    state_dict: Mapping[str, Tensor]
    temperature: float = 1.0
    input_size: int = FACE_SIZE
    mean: float = MEAN
    std: float = STD
    dataset: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    class_mapping: Mapping[str, str | None] = field(default_factory=dict)

    def network(self) -> Network:
        """The network with these weights, in evaluation mode; ModelError if they don't fit it."""
        network = build_network(self.model, len(self.classes))
        try:
            network.load_state_dict(dict(self.state_dict))
        except RuntimeError as error:
            detail = str(error).splitlines()[-1].strip()
            raise ModelError(f"the weights are not those of the network {self.model}: {detail}") from error
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, atomically; OutputError if that can't be done."""
    save_tensors(asdict(checkpoint) | {"schema": SCHEMA, "classes": list(checkpoint.classes)}, path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what save_checkpoint wrote; no code in the file is executed (weights_only).

    Raises ModelError if `path` is missing, truncated, not a checkpoint of fer-train, or of another schema.
    """
    hint = "name the best.pt that fer-train wrote"
    values = load_tensors(path, hint)
    if "schema" not in values:
        raise ModelError(f"{path} is not a checkpoint of fer-train: {hint}")
    if values.pop("schema") != SCHEMA:
        raise ModelError(f"{path} was written by another version of fer-train: train again, or use that version")
    try:
        return Checkpoint(**values | {"classes": tuple(values["classes"])})
    except (TypeError, KeyError) as error:
        raise ModelError(f"{path} is not a checkpoint of fer-train ({error}): {hint}") from error


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
