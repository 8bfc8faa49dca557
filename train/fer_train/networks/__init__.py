"""The networks that `fer-train --model` knows: one file each, registered by name.

To add one, write a module with a subclass of Network and name it in NETWORKS.
"""

from fer_edge.errors import ModelError
from fer_train.networks.base import Network, Recipe
from fer_train.networks.cnn4 import Cnn4
from fer_train.networks.edgeresnet import EdgeResNet

__all__ = ["NETWORKS", "Cnn4", "EdgeResNet", "Network", "Recipe", "build_network"]

NETWORKS: dict[str, type[Network]] = {"edgeresnet": EdgeResNet, "cnn4": Cnn4}


def build_network(name: str, num_classes: int) -> Network:
    """The untrained network `name` for `num_classes` classes; ModelError if there is none of that name."""
    if name not in NETWORKS:
        raise ModelError(f"there is no network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](num_classes)
