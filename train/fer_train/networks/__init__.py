"""The networks that `fer-train --model` knows: one file each, which names the network.

To add one, write a module here whose NETWORK is a subclass of Network; my_net.py becomes `--model my-net`.
"""

import importlib

from fer_edge.errors import ModelError
from fer_train.network_names import network_names
from fer_train.networks.base import Network, Recipe

__all__ = ["NETWORKS", "Network", "Recipe", "build_network"]


def _load(name: str) -> type[Network]:
    network: type[Network] = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").NETWORK
    return network


NETWORKS: dict[str, type[Network]] = {name: _load(name) for name in network_names()}


def build_network(name: str, num_classes: int) -> Network:
    """The untrained network `name` for `num_classes` classes; ModelError if there is none of that name."""
    if name not in NETWORKS:
        raise ModelError(f"there is no network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](num_classes)
