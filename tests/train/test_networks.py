"""The networks' sizes, shapes and names."""

import pytest
import torch
from torch import Tensor, nn

from fer_edge.errors import ModelError
from fer_train.cli import MODELS
from fer_train.networks import NETWORKS, Network, build_network


def _macs(network: Network) -> int:
    """Multiply-accumulates of one face in convolutions and dense layers."""
    counts = []

    def count(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            counts.append(module.weight[0].numel() * output.numel())

    for module in network.modules():
        module.register_forward_hook(count)
    network.eval()(torch.zeros(1, 1, 48, 48))
    return sum(counts)


def test_the_command_line_offers_exactly_the_networks_there_are() -> None:
    assert tuple(NETWORKS) == MODELS


@pytest.mark.parametrize(("name", "parameters"), [("edgeresnet", 861_455), ("cnn4", 2_345_607)])
def test_parameter_counts_are_known(name: str, parameters: int) -> None:
    assert build_network(name, 7).num_parameters() == parameters


def test_edgeresnet_keeps_to_its_budget() -> None:
    network = build_network("edgeresnet", 7)
    assert network.num_parameters() <= 950_000
    assert _macs(network) <= 110e6
    assert round(_macs(network) / 1e6) == 82  # as its docstring says


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [2, 7])
def test_outputs_have_the_documented_shapes(name: str, classes: int) -> None:
    network = build_network(name, classes).eval()
    faces = torch.zeros(3, 1, 48, 48)
    assert network.forward_features(faces).shape == (3, network.num_features)
    assert network(faces).shape == (3, classes)
    assert torch.equal(network(faces), network.classifier(network.forward_features(faces)))


def test_an_unknown_network_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(ModelError, match="there is no network 'resnet50': choose one of edgeresnet, cnn4"):
        build_network("resnet50", 7)
