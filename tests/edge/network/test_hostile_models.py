"""Models from strangers: they may be wrong, but they never read other files, hang, or answer with no numbers."""

import dataclasses
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fer_models
from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Square, crop
from fer_edge.guards.memory import memory_limit
from fer_edge.network import external, timed
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import METADATA_KEY, Contract, parse_contract
from fer_edge.network.session import load_model

SECRET = bytes(range(48, 55))


def external_tensor(name: str, location: str = "secret") -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.UINT8, dims=[7], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "7")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model_bytes(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], contract: str | None = None) -> bytes:
    """A model from uint8 faces to float probabilities."""
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if contract is not None:
        helper.set_model_props(model, {METADATA_KEY: contract})
    return bytes(model.SerializeToString())


def subgraph(constants: list[onnx.TensorProto], nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    return helper.make_graph(
        nodes, "inner", [], [helper.make_tensor_value_info("inner", TensorProto.UINT8, None)], constants
    )


def in_initializer(location: str) -> bytes:
    return model_bytes([helper.make_node("Cast", ["w"], ["out"], to=1)], [external_tensor("w", location)])


def in_constant() -> bytes:
    constant = helper.make_node("Constant", [], ["w"], value=external_tensor("w"))
    return model_bytes([constant, helper.make_node("Cast", ["w"], ["out"], to=1)], [])


def in_subgraph(deep: bool) -> bytes:
    inner = subgraph([external_tensor("w")], [helper.make_node("Identity", ["w"], ["inner"])])
    if deep:
        inner = subgraph([], [helper.make_node("If", ["yes"], ["inner"], then_branch=inner, else_branch=inner)])
    nodes = [
        helper.make_node("If", ["yes"], ["w0"], then_branch=inner, else_branch=inner),
        helper.make_node("Cast", ["w0"], ["out"], to=1),
    ]
    return model_bytes(nodes, [numpy_helper.from_array(np.array(True), "yes")])


def in_function() -> bytes:
    model = onnx.ModelProto.FromString(model_bytes([helper.make_node("F", [], ["out"], domain="own")], []))
    constant = helper.make_node("Constant", [], ["w"], value=external_tensor("w"))
    body = [constant, helper.make_node("Cast", ["w"], ["y"], to=1)]
    model.functions.append(helper.make_function("own", "F", [], ["y"], body, [helper.make_opsetid("", 18)]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return bytes(model.SerializeToString())


READERS: dict[str, Callable[[], bytes]] = {
    "initializer": lambda: in_initializer("secret"),
    "upwards": lambda: in_initializer("../secret"),
    "absolute": lambda: in_initializer("/etc/passwd"),
    "constant": in_constant,
    "subgraph": lambda: in_subgraph(deep=False),
    "subgraph of a subgraph": lambda: in_subgraph(deep=True),
    "function": in_function,
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("as_file", [True, False])
def test_a_model_that_reads_other_files_is_refused(
    kind: str, as_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(SECRET)
    data = READERS[kind]()
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"keeps tensors in other files, which fer-edge never reads"):
        load_model(tmp_path / "m.onnx" if as_file else data)


def test_onnxruntime_itself_finds_no_external_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fer_edge.network.session.has_external_data", lambda _data: False)
    (tmp_path / "secret").write_bytes(SECRET)
    with pytest.raises(ModelError, match="is not a usable ONNX file"):
        load_model(in_initializer("secret"))


def test_a_model_that_only_names_something_location_is_read() -> None:
    data = model_bytes([helper.make_node("Cast", ["faces"], ["out"], to=1, name="location", doc_string="location")], [])
    assert external.KEY in data
    assert load_model(data).get_inputs()[0].name == "faces"


def test_the_table_of_fields_is_that_of_onnx() -> None:
    """Every field of every message that can hold a tensor, found from ModelProto down."""
    tensor, found, pending = onnx.TensorProto.DESCRIPTOR, {}, [onnx.ModelProto.DESCRIPTOR]
    messages = {}
    while pending:
        message = pending.pop()
        if message.name not in messages:
            messages[message.name] = {f.number: f.message_type for f in message.fields if f.message_type}
            pending += messages[message.name].values()
    holding = {tensor.name}
    while more := {n for n, f in messages.items() if {one.name for one in f.values()} & holding} - holding:
        holding |= more
    for name in holding:
        inside = {number: one.name for number, one in messages[name].items() if one.name in holding}
        found[name.removesuffix("Proto")] = {number: one.removesuffix("Proto") for number, one in inside.items()}
    assert found == external.FIELDS
    numbers = {field.name: field.number for field in tensor.fields}
    assert (numbers["external_data"], numbers["data_location"]) == (external.EXTERNAL_DATA, external.DATA_LOCATION)


@pytest.mark.parametrize(
    "data", [b"location\xff", b"\x3a\xff\xff\xff\xff\x0flocation", b"location" * 3, b"\x0blocation"]
)
def test_bytes_that_are_no_model_are_one_error(data: bytes) -> None:
    with pytest.raises(ModelError, match="the model in memory is not a usable ONNX file"):
        load_model(data)


def looping(contract: Contract) -> bytes:
    """A network that never ends: a Loop without a limit whose condition stays true."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["v"], ["w"])], "body",
        [scalar("i", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, []), scalar("v", TensorProto.FLOAT, None)],
        [scalar("goes", TensorProto.BOOL, []), scalar("w", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=1),
        helper.make_node("Loop", ["", "yes", "float"], ["out"], body=body),
    ]
    return model_bytes(nodes, [numpy_helper.from_array(np.array(True), "yes")], contract.to_json())


def test_a_network_that_loops_for_ever_is_ended(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_MODEL_SECONDS", "1")
    with pytest.raises(
        ModelError, match=r"^the model in memory gives no result within 1 s: it may loop for ever.*FER_EDGE_MAX_MODEL_S"
    ):
        Classifier(looping(contract))


def test_runs_in_progress_can_be_ended_early(contract: Contract) -> None:
    model, errors = load_model(looping(contract)), []

    def run() -> None:
        try:
            model.run(None, {"faces": np.zeros((1, 1, 48, 48), np.uint8)})
        except ModelError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        timed.end_runs_longer_than(0)
        time.sleep(0.01)
    assert len(errors) == 1
    assert timed.stuck_network() is None


def no_numbers(contract: Contract, value: float, bright_only: bool) -> bytes:
    """Probabilities of 1/7, but `value` for faces whose mean is above 0 (`bright_only`), or for all."""
    wrong = np.full((1, 7), value, np.float32)
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=1),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Greater", ["column", "least"], ["is_bright"]),
        helper.make_node("Where", ["is_bright", "wrong", "right"], ["out"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3]), "one": np.array([1]), "wrong": wrong, "right": np.full((1, 7), 1 / 7, np.float32),
        "least": np.array(200 if bright_only else -1, np.float32),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return model_bytes(nodes, tensors, contract.to_json())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e30, -1.0])
def test_a_network_that_gives_no_probabilities_is_refused(contract: Contract, value: float) -> None:
    with pytest.raises(ContractError, match="not probabilities"):
        Classifier(no_numbers(contract, value, bright_only=False))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 1e30, -1.0])
def test_answers_that_are_no_numbers_later_are_an_error(contract: Contract, value: float) -> None:
    classifier = Classifier(no_numbers(contract, value, bright_only=True))
    faces = np.full((2, 1, 48, 48), 100, np.uint8)
    np.testing.assert_allclose(classifier.predict(faces), 1 / 7, rtol=1e-6)
    faces[1] = 255
    with pytest.raises(ContractError, match="not probabilities"):
        classifier.predict(faces)


def test_a_network_that_fails_on_some_faces_is_one_error(contract: Contract) -> None:
    """Bright faces make it read behind the end of a table."""
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Cast", ["mean"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["out"], axis=0),
    ]
    table = np.full((200, 7), 1 / 7, np.float32)
    tensors = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1, 2, 3]), "axes")]
    classifier = Classifier(model_bytes(nodes, tensors, contract.to_json()))
    faces = np.full((1, 1, 48, 48), 250, np.uint8)
    with pytest.raises(ModelError, match=r"^the model in memory can't be run on an image \(.*\): use another network$"):
        classifier.predict(faces)


def test_a_crowd_is_classified_in_parts(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (5, 1, 48, 48), dtype=np.uint8)
    expected = classifier.predict(faces)
    monkeypatch.setattr("fer_edge.network.classifier.MAX_BATCH_BYTES", 2 * 48 * 48)
    np.testing.assert_allclose(classifier.predict(faces), expected, atol=1e-6)


def test_a_shipped_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fer_models.default_model()
    for file in source.parent.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = onnx.load(source)
    model.doc_string = "changed"
    onnx.save(model, str(tmp_path / source.name))
    Classifier(tmp_path / source.name)  # elsewhere it may be anything
    monkeypatch.setattr(fer_models, "_HERE", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="is not the file that fer-edge ships"):
        Classifier(Path(os.curdir) / source.name)


def test_every_shipped_file_has_its_hash() -> None:
    paths = [fer_models.model_path(name) for name in ("int8", "fp32")]
    paths += [fer_models.detector_path(name) for name in ("int8", "fp32")]
    for path in paths:
        assert load_model(path).sha256 == fer_models.shipped_sha256(path)


def test_only_networks_from_elsewhere_are_run_before_they_are_used(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    run = timed.run
    monkeypatch.setattr(timed, "run", lambda session, outputs, inputs, name: (
        runs.append(name), run(session, outputs, inputs, name)
    )[1])  # fmt: skip
    Classifier(fer_models.default_model())
    LumaDetector()
    assert runs == []
    Classifier(model)
    LumaDetector(fer_models.detector_path().read_bytes())
    assert runs[0] == str(model)
    assert len(runs) > 1


def test_a_file_that_is_too_large_is_not_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_MODEL_BYTES", "100")
    with pytest.raises(ModelError, match=r"more than 100: if you trust it, raise FER_EDGE_MAX_MODEL_BYTES"):
        load_model(model)


def test_metadata_that_is_not_utf8_is_one_error(contract: Contract) -> None:
    data = no_numbers(dataclasses.replace(contract, dataset="XXXX"), 0, bright_only=True).replace(
        b"XXXX", b"\xe9\xff\xfe\xe9"
    )
    with pytest.raises(ModelError, match=r"^the model in memory .*export it again"):
        Classifier(data)


@pytest.mark.parametrize("field, value", [
    ("input_size", [2**40, 48]), ("input_size", [48, 513]), ("input_size", "48"), ("input_size", [48.0, 48]),
    ("labels", "ab"), ("labels", {"a": 1, "b": 2}), ("labels", ["a", "\ud800"]),
    ("labels", [f"{n}" for n in range(1001)]),
    ("temperature", 0), ("temperature", 1e-30), ("temperature", 10**400), ("temperature", float("nan")),
    ("framing", 1e9), ("framing", True), ("dataset", 5), ("dataset", "\udc80"), ("accuracy", 5), ("accuracy", [1]),
    ("accuracy", {"accuracy": float("nan")}), ("accuracy", {"accuracy": 2}), ("accuracy", {"accuracy": "1"}),
    ("accuracy", {"images": 1.5}), ("accuracy", {"split": 5}), ("accuracy", {"more": [1]}), ("dataset", "x" * 1001),
    ("failed_gates", ["x"] * 65), ("failed_gates", ["x" * 1001]),
    ("checkpoint_sha256", None), ("failed_gates", "abc"), ("heads", {"a": 1}), ("heads", 3),
])  # fmt: skip
def test_a_classifiers_contract_with_an_odd_field_is_one_error(contract: Contract, field: str, value: object) -> None:
    values = json.loads(contract.to_json()) | {field: value}
    with pytest.raises(ContractError, match=r"^file: its "):
        parse_contract(json.dumps(values), "file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1, "labels": "' + "x" * 10_000_000 + '"}', "has 10,000,027 characters, more than 1,000,000"),
        ("[" * 100_000, "is not JSON"),
        ('{"a":' * 100_000, "is not JSON"),
        ('{"schema": "' + "x" * 900_000 + '"}', "its contract has schema 'xxx"),
        ('{"schema": 1, "input_size": ' + "9" * 900_000 + "}", "is not JSON"),
        ('{"schema": 1, "framing": {"of_width": "' + "x" * 900_000 + '"}}', "incomplete or malformed"),
        ("", "is not JSON"),
        ("NaN", "is not a JSON object"),
    ],
)
def test_a_contract_without_bounds_is_one_short_error(text: str, message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        parse_contract(text, "file")
    assert len(str(caught.value)) < 400


HUGE = 2_500_000_000
HUNGRY = {  # nodes that make `big`, a tensor of 10 GB, of a face or of nothing
    "ConstantOfShape": [helper.make_node("ConstantOfShape", ["huge"], ["big"])],
    "Expand": [helper.make_node("Expand", ["face", "huge"], ["big"])],
    "Pad": [helper.make_node("Pad", ["float", "pads"], ["big"])],
    "many": [
        *(helper.make_node("Expand", ["face", "large"], [f"part{index}"]) for index in range(50)),
        helper.make_node("Concat", [f"part{index}" for index in range(50)], ["big"], axis=0),
    ],
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the memory")
@pytest.mark.parametrize("kind", HUNGRY)
def test_a_network_that_asks_for_much_memory_is_refused(
    contract: Contract, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_MODEL_MEMORY", "500_000_000")
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["face"], keepdims=0),
        *HUNGRY[kind],
        helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
        helper.make_node("Sum", ["most", "answer"], ["out"]),
    ]
    constants = {
        "huge": np.array([HUGE]), "large": np.array([50_000_000]), "answer": np.full((2, 7), 1 / 7, np.float32),
        "pads": np.array([0, 0, 20_000, 20_000, 0, 0, 20_000, 20_000]),
    }  # fmt: skip
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(ModelError, match=r"^the model in memory takes more than 500,000,000 bytes of memory: if"):
        Classifier(model_bytes(nodes, tensors, contract.to_json()))
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_memory_of_a_network_is_at_most_half_of_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name])
    assert memory_limit() == 2_048_000
    monkeypatch.setenv("FER_EDGE_MAX_MODEL_MEMORY", "3_000_000")
    assert memory_limit() == 3_000_000


@pytest.mark.parametrize("field, value", [
    ("strides", [8] * 17), ("strides", "88"), ("strides", [2000]), ("side_in_strides", 4000),
    ("side_in_strides", 1e-400),
    ("smallest_face_px", 10**9), ("framing", {"of_width": 1e5, "of_height": 0.0, "right": 0.0, "down": 0.0}),
    ("second_look", {"window_px": 4000, "face_px": 40, "least": 0.4, "most": 0.8}),
])  # fmt: skip
def test_a_detectors_contract_with_absurd_measures_is_one_error(
    detector_contract: Contract, field: str, value: object
) -> None:
    values = json.loads(detector_contract.to_json())
    values["detector"][field] = value
    with pytest.raises(ContractError, match=r"^file: its contract "):
        parse_contract(json.dumps(values), "file")


def test_a_box_without_bounds_takes_no_more_than_its_image() -> None:
    image = np.full((60, 80), 7, np.uint8)
    assert (crop(image, Square(40, 30, 1e9), (48, 48)) == 7).all()


def _with_output_of(model: Path, kind: int, target: Path) -> Path:
    """`model` with its output cast to another kind of values."""
    changed = onnx.load(str(model))
    output = changed.graph.output[0]
    for node in changed.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == output.name:
                    names[place] = "uncast"
    changed.graph.node.append(helper.make_node("Cast", ["uncast"], [output.name], to=kind))
    output.type.tensor_type.elem_type = kind
    onnx.save(changed, str(target))
    return target


@pytest.mark.parametrize(
    ("kind", "word"), [(TensorProto.STRING, "texts"), (TensorProto.INT64, "int64"), (TensorProto.BOOL, "bool")]
)
def test_a_network_that_answers_in_other_values_than_floats_is_refused(
    model: Path, tmp_path: Path, kind: int, word: str
) -> None:
    with pytest.raises(ContractError, match=f"its output is of {word}, and is not a row of 7 probabilities per face"):
        Classifier(_with_output_of(model, kind, tmp_path / "a.onnx"))
    with pytest.raises(ContractError, match=f"its output is of {word}, not of float32: export it again"):
        LumaDetector(_with_output_of(fer_models.detector_path(), kind, tmp_path / "b.onnx"))
