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
from fer_train.networks.heads import Head


@pytest.fixture
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    network = build_network("edgeresnet", 7)
    metrics = {"accuracy": 0.5, "confusion": [[1, 2], [3, 4]]}
    head = Head("f", FER2013_CLASSES, 1.25, dataset="f.csv", metrics=metrics)
    return Checkpoint("edgeresnet", (head,), network.state_dict())


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


@pytest.fixture
def with_heads(checkpoint: Checkpoint) -> Checkpoint:
    heads = (Head("people", ("happy", "sad")), Head("ferplus", ("happy", "sad", "contempt"), temperature=2.0))
    return replace(checkpoint, heads=heads, state_dict=build_network("edgeresnet", 5).state_dict())


def test_heads_come_back_and_know_their_columns(with_heads: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(with_heads, tmp_path / "best.pt")
    loaded = load_checkpoint(tmp_path / "best.pt")
    assert loaded.heads == with_heads.heads
    assert loaded.classes == ("happy", "sad")
    assert (loaded.columns(), loaded.columns("ferplus")) == (slice(0, 2), slice(2, 5))
    with pytest.raises(ModelError, match="has no head 'people2': choose one of people, ferplus"):
        loaded.head("people2")


def test_another_head_first_and_a_head_alone_are_the_same_network(with_heads: Checkpoint) -> None:
    faces = torch.randn(2, 1, 48, 48)
    logits = with_heads.network()(faces)
    other, alone = with_heads.with_head("ferplus"), with_heads.only(["ferplus"])
    assert [head.name for head in other.heads] == ["ferplus", "people"]
    assert other.temperature == alone.temperature == 2
    assert torch.allclose(other.network()(faces), logits[:, [2, 3, 4, 0, 1]])
    assert torch.allclose(alone.network()(faces), logits[:, 2:])


def test_a_checkpoint_from_before_heads_has_one(checkpoint: Checkpoint, tmp_path: Path) -> None:
    head = checkpoint.head()
    torch.save(
        {
            "schema": 1, "model": "edgeresnet", "classes": list(head.classes), "state_dict": checkpoint.state_dict,
            "temperature": 1.25, "dataset": "FER 2013.csv", "metrics": head.metrics,
        },
        tmp_path / "best.pt",
    )  # fmt: skip
    loaded = load_checkpoint(tmp_path / "best.pt")
    assert loaded.heads == (replace(head, name="fer-2013", dataset="FER 2013.csv"),)
    assert loaded.network() is not None


@pytest.mark.parametrize("name", ["", "People", "a b", "x" * 33])
def test_a_head_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid head name"):
        Head(name, ("a", "b"))


def test_two_heads_of_one_name_are_refused(with_heads: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(replace(with_heads, heads=(with_heads.heads[0],) * 2), tmp_path / "best.pt")
    with pytest.raises(ModelError, match=r"its heads are people, people"):
        load_checkpoint(tmp_path / "best.pt")


def test_another_schema_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(checkpoint, path)
    torch.save(torch.load(path, weights_only=True) | {"schema": 3}, path)
    with pytest.raises(ModelError, match="written by another version of fer-train"):
        load_checkpoint(path)


def test_the_weights_of_another_network_are_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelError, match="the weights are not those of the network cnn4"):
        replace(checkpoint, model="cnn4").network()
    with pytest.raises(ModelError, match="the weights are not those of the network edgeresnet"):
        replace(checkpoint, heads=(replace(checkpoint.head(), classes=("a", "b")),)).network()


def test_incomplete_weights_are_refused(checkpoint: Checkpoint) -> None:
    weights = dict(checkpoint.state_dict)
    del weights["classifier.bias"]
    with pytest.raises(ModelError, match=r"the weights are not those of .*classifier\.bias"):
        replace(checkpoint, state_dict=weights).network()


def test_a_missing_folder_is_an_output_error(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        save_checkpoint(checkpoint, tmp_path / "gone" / "best.pt")
