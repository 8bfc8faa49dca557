"""The networks' sizes, shapes and names, and how one is added."""

import re
import textwrap
from pathlib import Path

import pytest
import torch

from fer_edge.errors import ModelError
from fer_train import network_names as names
from fer_train import networks
from fer_train.network_names import network_names
from fer_train.networks import build_network, network_class
from fer_train.networks.checkpoint import load_checkpoint
from fer_train.training.options import TrainOptions
from fer_train.training.targets import training_set
from fer_train.training.trainer import Trainer

from ..conftest import face_data

SIZES = {  # parameters, multiply-accumulates per face
    "cnn4": (2_345_607, 77_326_464),
    "edgeresnet": (861_455, 81_783_904),
    "edgeresnet-deep": (903_119, 105_671_776),
    "edgeresnet-large": (2_064_711, 173_852_416),
    "edgeresnet-small": (338_391, 34_837_152),
    "resnet18": (11_173_831, 1_252_937_216),
    "vgg11-bn": (9_228_423, 341_069_312),
    "vgg16-bn": (14_725_575, 702_041_600),
}


def test_there_are_the_known_networks_with_their_sizes() -> None:
    networks = {name: build_network(name, 7) for name in network_names()}
    assert {name: (network.num_parameters(), network.num_macs()) for name, network in networks.items()} == SIZES


@pytest.mark.parametrize("name", network_names())
def test_a_networks_docstring_states_its_size(name: str) -> None:
    stated = re.search(r"([\d.]+) M parameters, ([\d,]+) MMAC per face", network_class(name).__doc__ or "")
    assert stated is not None
    parameters, macs = SIZES[name]
    assert stated[1] == f"{parameters / 1e6:.{len(stated[1].partition('.')[2])}f}"
    assert stated[2] == f"{macs / 1e6:,.0f}"


def test_counting_multiplications_leaves_the_network_as_it_was() -> None:
    network = build_network("edgeresnet-small", 7).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.num_macs()
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("name", ["edgeresnet", "edgeresnet-deep"])
def test_networks_that_may_be_shipped_keep_to_their_budget(name: str) -> None:
    network = build_network(name, 7)
    assert network.num_parameters() <= 950_000
    assert network.num_macs() <= 110e6


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize("classes", [2, 7])
def test_outputs_have_the_documented_shapes(name: str, classes: int) -> None:
    network = build_network(name, classes).eval()
    faces = torch.zeros(3, 1, 48, 48)
    assert network.forward_features(faces).shape == (3, network.num_features)
    assert network(faces).shape == (3, classes)
    assert torch.equal(network(faces), network.classifier(network.forward_features(faces)))


def test_the_shipped_checkpoint_still_loads() -> None:
    path = Path(__file__).parents[3] / "models" / "checkpoints" / "fer2013.pt"
    checkpoint = load_checkpoint(path)
    assert checkpoint.model == "edgeresnet-deep"
    assert checkpoint.network().num_parameters() == 905_534


def test_an_unknown_network_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(ModelError, match="there is no network 'resnet50': choose one of cnn4, edgeresnet, "):
        build_network("resnet50", 7)


@pytest.fixture
def added_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the example in the docstring of networks/, as a file in a second folder of networks."""
    example = (networks.__doc__ or "").partition("`--model linear-net`.\n")[2].partition("For int8")[0]
    (tmp_path / "linear_net.py").write_text(textwrap.dedent(example))
    monkeypatch.setattr(names, "FOLDERS", [*names.FOLDERS, tmp_path])
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    return "linear-net"


def test_a_file_in_the_folder_is_a_network(added_network: str, tmp_path: Path) -> None:
    assert added_network in network_names()
    recipe = network_class(added_network).recipe
    trainer = Trainer(training_set(face_data(train=8, test=2)), TrainOptions(added_network, 1, recipe), tmp_path)
    trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    checkpoint = load_checkpoint(tmp_path / "best.pt")
    assert checkpoint.model == added_network
    assert checkpoint.network().num_parameters() == 48 * 48 * 64 + 64 + 64 * 7 + 7


def test_files_that_assign_no_network_are_not_networks() -> None:
    assert {"base", "checkpoint", "inference", "normalization", "pretrained"}.isdisjoint(network_names())
    assert set(network_names()) == set(SIZES)
