"""Initial weights from torchvision's state dicts and from checkpoints, and what is refused."""

import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_train.data import FER2013_CLASSES
from fer_train.networks import build_network
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.heads import Head
from fer_train.networks.pretrained import fetch, load_initial_weights

HEADS = (Head("fer2013", FER2013_CLASSES),)

# torchvision's own names and shapes, from its model definitions.
RESNET18 = {
    "conv1.weight": (64, 3, 7, 7), "bn1.running_var": (64,), "bn1.num_batches_tracked": (),
    "layer1.0.conv1.weight": (64, 64, 3, 3), "layer1.1.bn2.bias": (64,),
    "layer2.0.conv1.weight": (128, 64, 3, 3), "layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "layer2.0.downsample.1.running_mean": (128,), "layer4.1.conv2.weight": (512, 512, 3, 3),
    "fc.weight": (1000, 512), "fc.bias": (1000,),
}  # fmt: skip
VGG16_BN = {
    "features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,), "features.1.running_mean": (64,),
    "features.7.weight": (128, 64, 3, 3), "features.14.weight": (256, 128, 3, 3),
    "features.40.weight": (512, 512, 3, 3), "features.41.weight": (512,),
    "classifier.0.weight": (4096, 25088), "classifier.6.bias": (1000,),
}  # fmt: skip
VGG11_BN = {"features.0.weight": (64, 3, 3, 3), "features.25.weight": (512, 512, 3, 3), "features.26.bias": (512,)}


def _torchvision(shapes: dict[str, tuple[int, ...]], path: Path) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    # The dense layers are skipped, so that they may be smaller than they really are.
    weights = {
        name: torch.randn(tuple(min(side, 600) for side in shape), generator=generator)
        for name, shape in shapes.items()
    }
    torch.save(weights, path)
    return weights


@pytest.mark.parametrize(("model", "shapes"), [("resnet18", RESNET18), ("vgg16-bn", VGG16_BN), ("vgg11-bn", VGG11_BN)])
def test_imagenet_weights_load_by_torchvisions_names(
    model: str, shapes: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    weights = _torchvision(shapes, tmp_path / "imagenet.pth")
    network = build_network(model, 7)
    head = network.classifier.weight.clone()
    loaded = load_initial_weights(network, model, HEADS, tmp_path / "imagenet.pth")
    own = network.state_dict()
    first = next(iter(shapes))
    body = [name for name in shapes if not name.startswith(("fc.", "classifier."))]
    assert sorted(loaded.loaded) == sorted(body)
    assert loaded.summed == (first,)
    assert torch.equal(own[first], weights[first].sum(1, keepdim=True))
    assert all(torch.equal(own[name].float(), weights[name].trunc() if weights[name].ndim == 0 else weights[name])
               for name in body if name != first)  # fmt: skip
    assert set(loaded.skipped) == set(shapes) - set(body)
    assert {"classifier.weight", "classifier.bias"} <= set(loaded.fresh)
    assert torch.equal(network.classifier.weight, head)
    assert f"{len(body)} tensors loaded; {first} summed over RGB" in loaded.summary()


@pytest.fixture
def best(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    weights = build_network("edgeresnet-small", 7).state_dict()
    save_checkpoint(Checkpoint("edgeresnet-small", (Head("fer2013", FER2013_CLASSES),), weights), tmp_path / "best.pt")
    return tmp_path / "best.pt"


def test_a_checkpoint_of_the_same_classes_loads_completely(best: Path) -> None:
    network = build_network("edgeresnet-small", 7)
    loaded = load_initial_weights(network, "edgeresnet-small", HEADS, best)
    assert not loaded.skipped
    assert not loaded.fresh
    torch.manual_seed(1)
    expected = build_network("edgeresnet-small", 7).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_a_network_with_more_blocks_predicts_as_the_one_it_started_from(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before, grown = build_network("edgeresnet", 7).eval(), build_network("edgeresnet-deep", 7).eval()
    save_checkpoint(
        Checkpoint("edgeresnet", (Head("fer2013", FER2013_CLASSES),), before.state_dict()), tmp_path / "best.pt"
    )
    loaded = load_initial_weights(grown, "edgeresnet-deep", HEADS, tmp_path / "best.pt")
    assert not loaded.skipped
    assert all(name.startswith("features.6_0.") for name in loaded.fresh)
    faces = torch.randn(4, 1, 48, 48)
    assert torch.equal(grown(faces), before(faces))
    with pytest.raises(ModelError, match="is a checkpoint of the network edgeresnet, not of edgeresnet-small"):
        load_initial_weights(build_network("edgeresnet-small", 7), "edgeresnet-small", HEADS, tmp_path / "best.pt")


def test_a_checkpoint_without_a_class_of_the_heads_loads_without_its_classifier(best: Path) -> None:
    network = build_network("edgeresnet-small", 2)
    loaded = load_initial_weights(network, "edgeresnet-small", [Head("mine", ("yes", "no"))], best)
    assert loaded.skipped == ("classifier.weight", "classifier.bias") == loaded.fresh


def test_a_class_starts_from_the_row_of_its_name_in_the_head_of_its_name(tmp_path: Path) -> None:
    torch.manual_seed(1)
    given, network = build_network("edgeresnet-small", 4), build_network("edgeresnet-small", 6)
    heads = (Head("people", ("happy", "sad")), Head("ferplus", ("sad", "contempt")))
    save_checkpoint(Checkpoint("edgeresnet-small", heads, given.state_dict()), tmp_path / "best.pt")
    before = network.classifier.weight.detach().clone()
    wanted = (Head("mine", ("sad", "bored", "happy")), Head("ferplus", ("contempt", "sad", "angry")))
    loaded = load_initial_weights(network, "edgeresnet-small", wanted, tmp_path / "best.pt")
    rows = given.classifier.weight
    expected = torch.stack([rows[1], before[1], rows[0], rows[3], rows[2], before[5]])
    assert torch.equal(network.classifier.weight, expected)
    assert torch.equal(network.classifier.bias[[0, 2, 3, 4]], given.classifier.bias[[1, 0, 3, 2]])
    assert not loaded.skipped
    assert loaded.fresh == ("mine: bored", "ferplus: angry")


def test_files_that_do_not_fit_are_refused(best: Path, tmp_path: Path) -> None:
    network = build_network("edgeresnet", 7)
    with pytest.raises(ModelError, match=r"is a checkpoint of the network edgeresnet-small, not of edgeresnet"):
        load_initial_weights(network, "edgeresnet", HEADS, best)
    _torchvision(RESNET18, tmp_path / "resnet18.pth")
    with pytest.raises(ModelError, match="has no weights with the names of edgeresnet's"):
        load_initial_weights(network, "edgeresnet", HEADS, tmp_path / "resnet18.pth")
    _torchvision({"conv1.weight": (64, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"conv1.weight has the shape \[64, 1, 3, 3\] where \[64, 1, 7, 7\] fits"):
        load_initial_weights(build_network("resnet18", 7), "resnet18", HEADS, tmp_path / "other.pth")
    torch.save({"state_dict": [1, 2]}, tmp_path / "list.pth")
    with pytest.raises(ModelError, match="holds no weights"):
        load_initial_weights(network, "edgeresnet", HEADS, tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(ModelError, match="is not a checkpoint, or is damaged: name the weights that torchvision"):
        load_initial_weights(network, "edgeresnet", HEADS, tmp_path / "text.pth")


def test_a_url_is_fetched_once_and_an_unreachable_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    asked = []

    def download(url: str, file: str, progress: bool) -> None:
        assert progress
        asked.append(url)
        if "gone" in url:
            raise URLError("no route")
        Path(file).write_bytes(b"weights")

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    url = "https://download.example/models/resnet18-f37072fd.pth"
    assert fetch(url).read_bytes() == b"weights" == fetch(url).read_bytes()
    assert asked == [url]
    with pytest.raises(ModelError, match=re.escape("can't be fetched (no route): download it elsewhere")):
        fetch("https://download.example/gone.pth")
    with pytest.raises(ModelError, match=r"none\.pth is not a file: name one, or an http\(s\) URL"):
        fetch(str(tmp_path / "none.pth"))
