"""Networks, and what reads, runs and stores them.

base           Network, which every network is a subclass of, and Recipe, its training settings
<name>         one file per network that `fer-train --model` offers
normalization  pixel values to network input
inference      uint8 faces to logits
heads          what each group of the classifier's rows says
checkpoint     best.pt
pretrained     initial weights

Training is in fer_train.training, the detector's network in fer_train.detection.

A file here that assigns NETWORK is a network: linear_net.py, with these lines, is `--model linear-net`.

    import torch
    from torch import Tensor, nn

    from fer_train.networks.base import Network, Recipe


    class LinearNet(Network):
        num_features = 64
        recipe = Recipe("adamw", learning_rate=1e-3)

        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.hidden = nn.Linear(48 * 48, self.num_features)
            self.classifier = nn.Linear(self.num_features, num_classes)

        def forward_features(self, faces: Tensor) -> Tensor:
            return torch.relu(self.hidden(faces.flatten(1)))  # [N, 1, 48, 48] to [N, 64]


    NETWORK = LinearNet

For int8 and --qat, every convolution needs batch normalization right after it, then nn.ReLU modules.
"""

import importlib

from fer_edge.errors import ModelError
from fer_train.network_names import network_names
from fer_train.networks.base import Network, Recipe

__all__ = ["Network", "Recipe", "build_network", "network_class"]


def network_class(name: str) -> type[Network]:
    """The class of the network `name`, such as "vgg16-bn"; ModelError if there is none of that name."""
    if name not in network_names():
        raise ModelError(f"there is no network {name!r}: choose one of {', '.join(network_names())}")
    network: type[Network] = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").NETWORK
    return network


def build_network(name: str, num_classes: int) -> Network:
    """The untrained network `name` for `num_classes` classes; ModelError if there is none of that name."""
    return network_class(name)(num_classes)
