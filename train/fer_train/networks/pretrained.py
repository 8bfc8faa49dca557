"""Initial weights for a network: torchvision's ImageNet weights, or an earlier run's checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_train.networks import Network
from fer_train.networks.checkpoint import HEAD_ROWS, Checkpoint, load_checkpoint
from fer_train.tensor_files import load_tensors, not_finite

HEADS = ("classifier.", "fc.")  # torchvision's names of the layers that end in ImageNet's thousand classes


class HeadLike(Protocol):
    """A head's name and classes."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded, by the tensors' names.

    loaded: the network's tensors that the file gave. summed: those of them that were summed over RGB.
    skipped: the file's tensors that were not used. fresh: the network's tensors that keep their random initial values.
    """

    loaded: tuple[str, ...]
    summed: tuple[str, ...]
    skipped: tuple[str, ...]
    fresh: tuple[str, ...]

    def summary(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.summed:
            parts.append(f"{', '.join(self.summed)} summed over RGB")
        if self.skipped:
            parts.append(f"skipped: {_first_names(self.skipped)}")
        if self.fresh:
            parts.append(f"newly initialized: {_first_names(self.fresh)}")
        return "; ".join(parts)


def fetch(source: str) -> Path:
    """The file that `source` names: a path, or an http(s) URL, which torch.hub downloads once to its cache.

    Raises ModelError if there is no such file, or the URL can't be reached.
    """
    if urlsplit(source).scheme not in ("http", "https"):
        path = Path(source)
        if not path.is_file():
            raise ModelError(f"--init-weights {source} is not a file: name one, or an http(s) URL")
        return path
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlsplit(source).path).name
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(source, str(path), progress=True)
        except OSError as error:  # includes URLError
            raise ModelError(
                f"--init-weights {source} can't be fetched ({getattr(error, 'reason', error)}): "
                "download it elsewhere and name the file"
            ) from error
    return path


def load_initial_weights(network: Network, model: str, heads: Sequence[HeadLike], path: Path) -> LoadedWeights:
    """Load the weights in `path` into `network`, the network named `model` with `heads`.

    A checkpoint of fer-train must be of the same network, or of one whose tensors all have a place in this one, as
    edgeresnet's have in edgeresnet-deep. The classifier's row of a class comes from the checkpoint's head of the same
    name, or else from its first head with a class of that name; without one it keeps its random values.
    A torchvision state dict is matched by its names. Its first convolution is summed over RGB: a gray face as RGB
    would give the same, and ImageNet's normalization is ours within 15 %. Its head is skipped.
    Raises ModelError if no name matches, or a tensor has another shape.
    """
    values = load_tensors(path, "name the weights that torchvision offers, or a best.pt")
    given = values.get("state_dict", values)
    named = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
    if not named or not all(isinstance(value, Tensor) for value in given.values()):
        raise ModelError(f"{path} holds no weights: name a state dict, or a best.pt of fer-train")
    own = network.state_dict()
    if "schema" in values and values.get("model") != model and not _fits_completely(given, own):
        raise ModelError(f"{path} is a checkpoint of the network {values.get('model')}, not of {model}")
    usable, fresh_rows = given, list[str]()
    if "schema" in values:
        classifier, fresh_rows = _carried_rows(load_checkpoint(path), own, heads)
        usable = {name: value for name, value in given.items() if not name.startswith(HEADS)} | classifier
    chosen, summed = _matching(usable, own, path)
    if not any(name.endswith("weight") and not name.startswith(HEADS) for name in chosen):
        raise ModelError(f"{path} has no weights with the names of {model}'s: is it of another network?")
    network.load_state_dict(own | chosen)
    return LoadedWeights(
        loaded=tuple(chosen),
        summed=tuple(summed),
        skipped=tuple(name for name in given if name not in chosen),
        fresh=tuple(name for name in own if name not in chosen and not name.endswith("num_batches_tracked"))
        + tuple(fresh_rows),
    )


def _carried_rows(
    checkpoint: Checkpoint, own: Mapping[str, Tensor], heads: Sequence[HeadLike]
) -> tuple[dict[str, Tensor], list[str]]:
    """The classifier of `own` with the checkpoint's rows for `heads`, and the classes that it has no row for."""
    by_head: dict[tuple[str, str], int] = {}
    by_class: dict[str, int] = {}
    row = 0
    for head in checkpoint.heads:
        for name in head.classes:
            by_head[head.name, name] = row
            by_class.setdefault(name, row)
            row += 1
    sources = [by_head.get((head.name, name), by_class.get(name)) for head in heads for name in head.classes]
    labels = [f"{head.name}: {name}" for head in heads for name in head.classes]
    known = [index for index, source in enumerate(sources) if source is not None]
    classifier = {}
    for tensor in HEAD_ROWS if known else ():
        classifier[tensor] = own[tensor].clone()
        rows = [source for source in sources if source is not None]
        classifier[tensor][known] = checkpoint.state_dict[tensor][rows]
    return classifier, [label for label, source in zip(labels, sources, strict=True) if source is None and known]


def _matching(
    given: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of `given` whose names `own` has, and the names of those that were summed over RGB."""
    chosen, summed = {}, []
    for name in own.keys() & given.keys():
        value = given[name]
        if value.is_complex() or not_finite(value):
            raise ModelError(f"{path} has weights that are not finite numbers ({name}): name another file")
        if value.ndim == own[name].ndim == 4 and value.shape[1] == 3 and own[name].shape[1] == 1:
            value = value.sum(dim=1, keepdim=True)
            summed.append(name)
        if value.shape != own[name].shape:
            if name.startswith(HEADS):
                continue
            raise ModelError(
                f"{path}: {name} has the shape {list(value.shape)} where {list(own[name].shape)} fits: "
                "is it of another network?"
            )
        chosen[name] = value
    return {name: chosen[name] for name in own if name in chosen}, summed


def _fits_completely(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether every tensor of `given`, except for the head's, has the name and shape of one of `own`."""
    body = [name for name in given if not name.startswith(HEADS)]
    return all(name in own and given[name].shape == own[name].shape for name in body)


def _first_names(names: tuple[str, ...]) -> str:
    few = ", ".join(names[:4])
    return few if len(names) <= 4 else f"{few} and {len(names) - 4} more"
