"""First weights for a network: torchvision's ImageNet weights, or an earlier run's checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_train.networks import Network
from fer_train.networks.checkpoint import load_tensors

HEADS = ("classifier.", "fc.")  # what torchvision calls the layers that name ImageNet's thousand classes


@dataclass(frozen=True)
class Transfer:
    """What became of the tensors in the file: names of the network's tensors, and of the file's."""

    loaded: tuple[str, ...]
    summed: tuple[str, ...]
    skipped: tuple[str, ...]
    fresh: tuple[str, ...]

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.summed:
            parts.append(f"{', '.join(self.summed)} summed over RGB")
        if self.skipped:
            parts.append(f"skipped: {_listed(self.skipped)}")
        if self.fresh:
            parts.append(f"starting fresh: {_listed(self.fresh)}")
        return "; ".join(parts)


def fetch(source: str) -> Path:
    """The file that `source` names, a path or an http(s) URL, which torch.hub keeps in its cache."""
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
        except OSError as error:  # URLError is one, too
            raise ModelError(
                f"--init-weights {source} can't be fetched ({getattr(error, 'reason', error)}): "
                "download it elsewhere and name the file"
            ) from error
    return path


def load_first_weights(network: Network, model: str, classes: Sequence[str], path: Path) -> Transfer:
    """Give `network`, which is `model` in NETWORKS and answers with `classes`, the weights in `path`.

    A checkpoint of fer-train must be of the same model, or of one whose every tensor has its place in this one, as
    edgeresnet's in edgeresnet-deep; its classifier is left out if it answers with other classes.
    A torchvision state dict fits by its names: the first convolution is summed over RGB (a grey face shown to it as
    RGB gives the same; ImageNet's normalisation is ours within 15 %), the head is left out.
    ModelError if nothing fits, or a tensor has another shape.
    """
    values = load_tensors(path, "name the weights that torchvision offers, or a best.pt")
    given = values.get("state_dict", values)
    if not isinstance(given, Mapping) or not all(isinstance(value, Tensor) for value in given.values()):
        raise ModelError(f"{path} holds no weights: name a state dict, or a best.pt of fer-train")
    own = network.state_dict()
    if "schema" in values and values.get("model") != model and not _fits_whole(given, own):
        raise ModelError(f"{path} is a checkpoint of the network {values.get('model')}, not of {model}")
    same_head = tuple(values.get("classes", classes)) == tuple(classes)
    usable = {name: value for name, value in given.items() if same_head or not name.startswith(HEADS)}
    chosen, summed = _fitting(usable, own, path)
    body = [name for name in chosen if not name.startswith(HEADS) and name.endswith("weight")]
    if not body:
        raise ModelError(f"{path} has no weights that are called as those of {model}: is it of another network?")
    network.load_state_dict(own | chosen)
    return Transfer(
        loaded=tuple(chosen),
        summed=tuple(summed),
        skipped=tuple(name for name in given if name not in chosen),
        fresh=tuple(name for name in own if name not in chosen and not name.endswith("num_batches_tracked")),
    )


def _fitting(given: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of `given` that have a place in `own`, and the names of those that were summed over RGB."""
    chosen, summed = {}, []
    for name in own.keys() & given.keys():
        value = given[name]
        if value.ndim == 4 and value.shape[1] == 3 and own[name].shape[1] == 1:
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


def _fits_whole(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether every tensor of `given`, but for the head, is one of `own` and has its shape."""
    body = [name for name in given if not name.startswith(HEADS)]
    return all(name in own and given[name].shape == own[name].shape for name in body)


def _listed(names: tuple[str, ...]) -> str:
    few = ", ".join(names[:4])
    return few if len(names) <= 4 else f"{few} and {len(names) - 4} more"
