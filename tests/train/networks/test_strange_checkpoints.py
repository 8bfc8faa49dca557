"""Checkpoints from strangers: whatever a value is, the file is loaded or refused in one line."""

import copy
import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_edge.errors import ModelError
from fer_train.detection.network import Luma
from fer_train.detection.trainer import load_detector, save_detector
from fer_train.networks import build_network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fer_train.networks.heads import Head
from fer_train.networks.pretrained import load_initial_weights
from fer_train.tensor_files import load_tensors, save_tensors

CLASSES = ("happy", "sad", "neutral")
METRICS = {"accuracy": 0.5, "confusion": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "epoch": 1}


def written_values() -> dict[str, Any]:
    torch.manual_seed(0)
    head = {"name": "f", "classes": list(CLASSES), "temperature": 1.5, "min_confidence": 0.0, "dataset": "f.csv",
            "truth": "labels", "metrics": METRICS, "class_mapping": {"glad": "happy"}}  # fmt: skip
    weights = dict(build_network("edgeresnet-small", 3).state_dict())
    return {"schema": 2, "model": "edgeresnet-small", "heads": [head], "state_dict": weights, "input_size": 48,
            "mean": 128.0, "std": 64.0, "options": {"epochs": 1, "recipe": {"optimizer": "sgd"}}}  # fmt: skip


VALUES = written_values()


def changed(path: tuple[object, ...], value: object) -> dict[str, Any]:
    """VALUES with another value at `path`; ... removes it."""
    values = copy.deepcopy({name: each for name, each in VALUES.items() if name != "state_dict"})
    part: Any = values | {"state_dict": dict(VALUES["state_dict"])}
    whole = part
    for key in path[:-1]:
        part = part[key]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return whole


def loads(values: object, path: Path) -> Checkpoint:
    torch.save(values, path)
    return load_checkpoint(path)


def deep(levels: int) -> object:
    value: object = {}
    for _ in range(levels):
        value = {"a": value}
    return value


FAULTS: dict[str, tuple[tuple[object, ...], object, str]] = {  # where, what, and the message
    "NaN": (("state_dict", "classifier.bias"), torch.full((3,), math.nan), r"not finite numbers \(classifier.bias\)"),
    "infinity": (("state_dict", "classifier.bias"), torch.full((3,), -math.inf), "not finite"),
    "shape": (("state_dict", "classifier.bias"), torch.zeros(4), r"shape of classifier.bias is \[4\], not \[3\]"),
    "type": (("state_dict", "classifier.bias"), torch.zeros(3, dtype=torch.int64), "is torch.int64, not torch.float32"),
    "double": (("state_dict", "classifier.bias"), torch.zeros(3, dtype=torch.float64), "is torch.float64"),
    "sparse": (("state_dict", "classifier.bias"), torch.zeros(3).to_sparse(), "is damaged"),
    "no tensor": (("state_dict", "classifier.bias"), [0.0] * 3, "its weights are not tensors by name"),
    "missing weight": (("state_dict", "classifier.bias"), ..., "classifier.bias is missing"),
    "extra weight": (("state_dict", "more"), torch.zeros(3), "which has no more"),
    "weights": (("state_dict",), [], "its weights are not tensors"),
    "heads in a tensor": (("heads",), torch.zeros(3), "its heads are not a list"),
    "a head in a tensor": (("heads", 0), torch.zeros(()), "its heads are not a list"),
    "no weights": (("state_dict",), ..., "state_dict"),
    "model": (("model",), "vgg99", "there is no network 'vgg99'"),
    "model of another type": (("model",), ["vgg"], "there is no network"),
    "another model": (("model",), "cnn4", "the weights are not those of the network cnn4"),
    "temperature 0": (("heads", 0, "temperature"), 0, "the temperature is 0, not a number from 0.001 to 1000"),
    "negative temperature": (("heads", 0, "temperature"), -1.5, "the temperature is -1.5"),
    "NaN temperature": (("heads", 0, "temperature"), math.nan, "the temperature is nan"),
    "temperature of another type": (("heads", 0, "temperature"), "1", "the temperature is '1'"),
    "true temperature": (("heads", 0, "temperature"), True, "the temperature is True"),
    "tensor temperature": (("heads", 0, "temperature"), torch.tensor(1.0), "the temperature is tensor"),
    "confidence": (("heads", 0, "min_confidence"), 1, "min_confidence is 1, not a number from 0 to below 1"),
    "label of another type": (("heads", 0, "classes", 0), 7, "7 is not a class name"),
    "empty label": (("heads", 0, "classes", 0), " ", "' ' is not a class name: it is empty"),
    "long label": (("heads", 0, "classes", 0), "x" * 1000, "is not a class name: it is longer"),
    "label with an escape": (
        ("heads", 0, "classes", 0),
        "a\x1b[2J",
        r"'a\\x1b\[2J' is not a class name: it has",
    ),
    "label twice": (("heads", 0, "classes", 0), "Sad", "the classes are not 2 to 1000 different ones"),
    "one label": (("heads", 0, "classes"), ["happy"], "the classes are not 2 to 1000"),
    "labels in a text": (("heads", 0, "classes"), "abc", "a head's classes are not a list"),
    "labels and weights": (("heads", 0, "classes"), ["happy", "sad", "neutral", "fear"], r"is \[3, 64\]|shape of"),
    "no heads": (("heads",), [], "its heads are missing"),
    "heads of another type": (("heads",), 3, "is not a checkpoint of fer-train"),
    "head of another type": (("heads",), ["f"], "is not a checkpoint of fer-train"),
    "head without name": (("heads", 0, "name"), ..., "name"),
    "name of a head": (("heads", 0, "name"), "A b", "is not a valid head name"),
    "name of another type": (("heads", 0, "name"), 5, "is not a checkpoint of fer-train"),
    "unknown key": (("more",), 1, "more"),
    "data set": (("heads", 0, "dataset"), 5, "the data set or the truth is not a name"),
    "metrics": (("heads", 0, "metrics"), [1], "the metrics are not values by name"),
    "NaN metric": (("heads", 0, "metrics", "accuracy"), math.nan, "the metrics are not values"),
    "tensor metric": (("heads", 0, "metrics", "accuracy"), torch.ones(1), "the metrics are not values"),
    "deep metrics": (("heads", 0, "metrics"), deep(40), "is damaged"),
    "class mapping": (("heads", 0, "class_mapping"), {"a": "b"}, "the class mapping names other classes"),
    "mapping of another type": (("heads", 0, "class_mapping"), ["a"], "the class mapping"),
    "size": (("input_size",), 2**40, "its input size is 1099511627776"),
    "size of another type": (("input_size",), 48.0, "its input size is 48.0"),
    "mean": (("mean",), math.nan, "its normalization is nan, 64.0"),
    "std": (("std",), 0, "its normalization is 128.0, 0"),
    "std of another type": (("std",), "64", "its normalization"),
    "options": (("options",), 5, "its options are not values by name"),
    "huge number": (("options", "epochs"), 10**5000, "is damaged"),
    "bytes": (("options", "epochs"), b"1", "is damaged"),
    "schema": (("schema",), 3, "written by another version of fer-train"),
    "schema of another type": (("schema",), torch.ones(2), "written by another version"),
    "no schema": (("schema",), ..., "is not a checkpoint of fer-train"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_with_a_wrong_value_is_one_line(fault: str, tmp_path: Path) -> None:
    path, value, message = FAULTS[fault]
    with pytest.raises(ModelError, match=message) as caught:
        loads(changed(path, value), tmp_path / "best.pt")
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/best.pt ")
    assert text.isprintable()
    assert len(text) < 500


def test_the_values_are_those_of_a_checkpoint(tmp_path: Path) -> None:
    loaded = loads(VALUES, tmp_path / "best.pt")
    before = torch.get_rng_state()
    save_checkpoint(loaded, tmp_path / "again.pt")
    assert load_checkpoint(tmp_path / "again.pt").heads == loaded.heads
    assert torch.equal(torch.get_rng_state(), before), "a run's random numbers must not depend on what it reads"


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.just(2**70), st.floats(), st.text(max_size=4), st.just(b"x"),
    st.sampled_from([..., [], {}, [[]], torch.full((3,), math.nan), torch.zeros(3, dtype=torch.float16)]),
    st.lists(st.one_of(st.text(max_size=3), st.integers(0, 2)), max_size=4),
)  # fmt: skip
PATHS = [(name,) for name in VALUES] + [("heads", 0), *(("heads", 0, name) for name in VALUES["heads"][0])]
PATHS += [("heads", 0, "classes", 1), ("heads", 0, "metrics", "epoch"), ("options", "recipe")]
PATHS += [("state_dict", "classifier.weight"), ("state_dict", "classifier.bias")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PATHS), ODD)
def test_any_value_is_loaded_or_refused(tmp_path: Path, path: tuple[object, ...], value: object) -> None:
    try:
        checkpoint = loads(changed(path, value), tmp_path / "best.pt")
    except ModelError as error:
        assert str(error).isprintable()
        return
    probabilities = torch.softmax(checkpoint.network()(torch.zeros(1, 1, 48, 48)) / checkpoint.temperature, dim=1)
    assert torch.isfinite(probabilities).all()
    assert len(checkpoint.classes) == probabilities.shape[1]


def compressed(path: Path) -> None:
    torch.save({"weights": torch.zeros(1_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        content = {entry: archive.read(entry) for entry in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in content.items():
            archive.writestr(entry, data)


def repeated(path: Path) -> None:
    torch.save({"weights": torch.zeros(1).expand(10**12)}, path)


def other_objects(path: Path) -> None:
    path.write_bytes(pickle.dumps({"schema": 2, "weights": io.BytesIO(b"x")}))


def damaged(path: Path) -> None:
    torch.save(VALUES, path)
    content = bytearray(path.read_bytes())
    content[200:400] = b"\xff" * 200
    path.write_bytes(content)


@pytest.mark.parametrize("keep", [0, 1, 3, 100, 5000, 0.3, 0.7, 0.999])
def test_a_file_that_is_cut_short_is_damaged(keep: float, tmp_path: Path) -> None:
    torch.save(VALUES, tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(ModelError, match=r"x\.pt is not a checkpoint, or is damaged: name another"):
        load_tensors(tmp_path / "x.pt", "name another")


@pytest.mark.parametrize("make", [compressed, repeated, other_objects, damaged])
def test_a_file_that_is_made_to_harm_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "x.pt")
    with pytest.raises(ModelError, match=r"x\.pt is not a checkpoint, or is damaged: name another"):
        load_tensors(tmp_path / "x.pt", "name another")


def test_a_weight_that_has_changed_on_the_disk_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    torch.save(VALUES, path)
    data = bytearray(path.read_bytes())
    place = data.index(VALUES["state_dict"]["classifier.weight"].numpy().tobytes())
    data[place] ^= 1  # the last bit of a float
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"best\.pt is not a checkpoint, or is damaged"):
        load_checkpoint(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(VALUES, tmp_path / "best.pt")
    monkeypatch.setenv("FER_TRAIN_MAX_CHECKPOINT_BYTES", "1_000")
    with pytest.raises(
        ModelError, match=r"bytes, more than 1,000: if you trust it, raise FER_TRAIN_MAX_CHECKPOINT_BYT"
    ):
        load_checkpoint(tmp_path / "best.pt")


def test_weights_without_numbers_are_never_saved(tmp_path: Path) -> None:
    weights = dict(VALUES["state_dict"]) | {"classifier.bias": torch.full((3,), math.nan)}
    checkpoint = Checkpoint("edgeresnet-small", (Head("f", CLASSES),), weights)
    with pytest.raises(ModelError, match=r"best\.pt has weights that are not finite numbers \(classifier\.bias\)"):
        save_checkpoint(checkpoint, tmp_path / "best.pt")
    assert not list(tmp_path.iterdir())
    save_checkpoint(replace(checkpoint, state_dict=VALUES["state_dict"]), tmp_path / "best.pt")


DETECTOR_FAULTS: dict[str, tuple[str, object, str]] = {
    "weights": ("state_dict", {}, "is missing"),
    "weights of another type": ("state_dict", "x", "its weights are not tensors by name"),
    "no weights": ("state_dict", ..., "its weights are not tensors by name"),
    "options": ("options", [1], "its options are not values"),
    "no options": ("options", ..., "its options are not values"),
    "schema": ("schema", 9, "is not a detector of this version"),
}


@pytest.mark.parametrize("fault", DETECTOR_FAULTS)
def test_a_detector_with_a_wrong_value_is_one_line(fault: str, tmp_path: Path) -> None:
    key, value, message = DETECTOR_FAULTS[fault]
    values = {"schema": 1, "detector": "luma", "state_dict": Luma().state_dict(), "options": {}} | {key: value}
    save_tensors({name: each for name, each in values.items() if each is not ...}, tmp_path / "detector.pt")
    with pytest.raises(ModelError, match=message):
        load_detector(tmp_path / "detector.pt")


def test_a_detector_of_nan_is_refused(tmp_path: Path) -> None:
    network = Luma()
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    values = {"schema": 1, "detector": "luma", "state_dict": network.state_dict(), "options": {}}
    save_tensors(values, tmp_path / "d.pt")
    with pytest.raises(ModelError, match=r"d\.pt has weights that are not finite numbers"):
        load_detector(tmp_path / "d.pt")
    save_detector(Luma(), tmp_path / "d.pt", {"dataset": "scenes"})
    assert load_detector(tmp_path / "d.pt")[1] == {"dataset": "scenes"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layer1.weight", torch.zeros(1), "has no weights with the names of"),
        (5, torch.zeros(1), "holds no weights"),
        ("classifier.bias", torch.full((3,), math.inf), "not finite numbers"),
        ("classifier.bias", torch.zeros(1, 3, 1, 1), "has no weights with the names"),
    ],
)
def test_first_weights_of_another_kind_are_one_line(tmp_path: Path, name: object, value: object, message: str) -> None:
    torch.save({name: value}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=message):
        load_initial_weights(
            build_network("edgeresnet-small", 3), "edgeresnet-small", [Head("f", CLASSES)], tmp_path / "w.pt"
        )
