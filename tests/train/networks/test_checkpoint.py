"""Checkpoints come back as they were written, and nothing else is taken for one."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fer_edge.errors import ModelError, OutputError
from fer_train.data import FER2013_CLASSES
from fer_train.networks import build_network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    network = build_network("edgeresnet", 7)
    metrics = {"accuracy": 0.5, "confusion": [[1, 2], [3, 4]]}
    return Checkpoint("edgeresnet", FER2013_CLASSES, network.state_dict(), 1.25, dataset="f.csv", metrics=metrics)


def test_a_checkpoint_comes_back_as_it_was_written(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "best.pt")
    loaded = load_checkpoint(tmp_path / "best.pt")
    assert replace(loaded, state_dict={}) == replace(checkpoint, state_dict={})
    assert loaded.state_dict.keys() == checkpoint.state_dict.keys()
    assert all(torch.equal(loaded.state_dict[name], value) for name, value in checkpoint.state_dict.items())
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"], "nothing may be left beside it"


def test_a_network_is_rebuilt_in_evaluation_mode(checkpoint: Checkpoint) -> None:
    network = checkpoint.network()
    assert not network.training
    faces = torch.randn(2, 1, 48, 48)
    assert torch.equal(network(faces), network(faces)), "dropout must be off"


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(checkpoint: Checkpoint, tmp_path: Path, keep: float) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(checkpoint, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ModelError, match=r"best\.pt is not a checkpoint, or is damaged: name the best\.pt"):
        load_checkpoint(path)


@pytest.mark.parametrize("value", [{"weights": torch.zeros(3)}, [1, 2], torch.zeros(2), {"schema": 1}])
def test_a_torch_file_of_another_program_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt is not a checkpoint of fer-train"):
        load_checkpoint(tmp_path / "other.pt")


def test_text_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "note.pt").write_text("not a network")
    with pytest.raises(ModelError, match="is not a checkpoint, or is damaged"):
        load_checkpoint(tmp_path / "note.pt")
    with pytest.raises(ModelError, match="is not a file"):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(ModelError, match="is not a file"):
        load_checkpoint(tmp_path)


class _Intruder:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    (tmp_path / "trap.pt").write_bytes(pickle.dumps(_Intruder(tmp_path / "sprung")))
    with pytest.raises(ModelError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


def test_another_schema_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(checkpoint, path)
    torch.save(torch.load(path, weights_only=True) | {"schema": 2}, path)
    with pytest.raises(ModelError, match="written by another version of fer-train"):
        load_checkpoint(path)


def test_the_weights_of_another_network_are_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelError, match="the weights are not those of the network cnn4"):
        replace(checkpoint, model="cnn4").network()
    with pytest.raises(ModelError, match="the weights are not those of the network edgeresnet"):
        replace(checkpoint, classes=("a", "b")).network()


def test_incomplete_weights_are_refused(checkpoint: Checkpoint) -> None:
    weights = dict(checkpoint.state_dict)
    del weights["classifier.bias"]
    with pytest.raises(ModelError, match=r"the weights are not those of .*classifier\.bias"):
        replace(checkpoint, state_dict=weights).network()


def test_a_missing_folder_is_an_output_error(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        save_checkpoint(checkpoint, tmp_path / "gone" / "best.pt")
