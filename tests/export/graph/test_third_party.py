"""Third-party ONNX files: weights in a second file, nodes in any order, Reshape as torch writes it."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.network.classifier import Classifier
from fer_edge.network.session import load_model
from fer_export.graph.quiet import quiet
from fer_export.graph.third_party import clear_allowzero, read_third_party, sort_nodes

WEIGHTS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


def external(tensor: onnx.TensorProto, location: str, offset: int = 0, **more: str) -> onnx.TensorProto:
    """`tensor` without its bytes, which are at `location`."""
    where = {"location": location, "offset": str(offset), "length": str(len(tensor.raw_data))} | more
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in where.items():
        if value:
            tensor.external_data.add(key=key, value=value)
    return tensor


def model_of(
    nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], outputs: int = 3, opset: int = 18
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "theirs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def written(folder: Path, tensor: onnx.TensorProto) -> Path:
    onnx.save(model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor]), folder / "m.onnx")
    return folder / "m.onnx"


def weights() -> onnx.TensorProto:
    return numpy_helper.from_array(WEIGHTS, "w")


def run(model: onnx.ModelProto) -> np.ndarray:
    return load_model(model.SerializeToString()).run(None, {"x": np.eye(4, dtype=np.float32)})[0]


@pytest.mark.parametrize("length", ["", "48"])
def test_weights_in_a_file_beside_the_model_become_part_of_it(tmp_path: Path, length: str) -> None:
    (tmp_path / "m.data").write_bytes(b"12345678" + WEIGHTS.tobytes() + b"more")
    model, changes = read_third_party(written(tmp_path, external(weights(), "m.data", 8, length=length)))
    assert changes == ("the weights of m.data",)
    np.testing.assert_array_equal(run(model), WEIGHTS)


def test_weights_of_constants_in_subgraphs_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "m.data").write_bytes(WEIGHTS.tobytes())
    constant = helper.make_node("Constant", [], ["inner"], value=external(weights(), "m.data"))
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("inner", 1, None)])
    nodes = [
        helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    onnx.save(model_of(nodes, [numpy_helper.from_array(np.array(True), "yes")]), tmp_path / "m.onnx")
    np.testing.assert_array_equal(run(read_third_party(tmp_path / "m.onnx")[0]), WEIGHTS)


def linked(folder: Path) -> str:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "d").write_bytes(WEIGHTS.tobytes())
    (folder / "link").symlink_to(folder / "elsewhere" / "d")
    return "link"


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (lambda _folder: "/etc/passwd", r"keeps weights in '/etc/passwd', and only files in its own folder"),
        (lambda folder: str(folder / "m.data"), "only files in its own folder"),
        (lambda _folder: "../m.data", "only files in its own folder"),
        (lambda _folder: "sub/../m.data", "only files in its own folder"),
        (lambda _folder: "sub/m.data", "only files in its own folder"),
        (lambda _folder: "..\\m.data", "only files in its own folder"),
        (lambda _folder: "..", "only files in its own folder"),
        (lambda _folder: "", "only files in its own folder"),
        (lambda _folder: "a\x1b[2Jb", "only files in its own folder"),
        (lambda _folder: "none.data", r"none\.data, which m\.onnx keeps weights in, can't be read: No such file"),
        (linked, "can't be read: it is a link: put the file itself there"),
        (pipe, "is not a file"),
    ],
)
def test_weights_anywhere_else_are_refused(tmp_path: Path, location: Callable[[Path], str], message: str) -> None:
    (tmp_path / "m.data").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ModelError, match=message) as caught:
        read_third_party(written(tmp_path, external(weights(), location(tmp_path))))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"offset": "-1"}, "says wrong things about 'w'"),
        ({"offset": "x"}, "says wrong things"),
        ({"offset": "9" * 30}, "says wrong things"),
        ({"offset": "4"}, r"m\.data ends before 'w': it is cut short"),
        ({"length": "47"}, "says wrong things"),
        ({"length": str(2**62)}, "says wrong things"),
    ],
)
def test_wrong_places_in_the_file_are_refused(tmp_path: Path, more: dict[str, str], message: str) -> None:
    (tmp_path / "m.data").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ModelError, match=message):
        read_third_party(written(tmp_path, external(weights(), "m.data", **more)))


def test_the_size_of_all_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.data").write_bytes(WEIGHTS.tobytes())
    path = written(tmp_path, external(weights(), "m.data"))
    for limit in (str(path.stat().st_size + 40), "40"):
        monkeypatch.setenv("FER_EDGE_MAX_MODEL_BYTES", limit)
        with pytest.raises(ModelError, match="with its weights, more than"):
            read_third_party(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x0a\xff\xff\xff\xff\x0f"])
def test_what_is_no_model_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx is not a usable ONNX file, or is truncated"):
        read_third_party(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="is not a file"):
        read_third_party(tmp_path)


def test_nodes_are_sorted_and_otherwise_keep_their_order() -> None:
    nodes = [
        helper.make_node("Add", ["b", "c"], ["y"], name="last"),
        helper.make_node("Relu", ["a"], ["c"]),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Neg", ["a"], ["b"]),
    ]
    model = model_of(nodes, [weights()])
    assert sort_nodes(model, Path("m.onnx"))
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Relu", "Neg", "Add"]
    np.testing.assert_array_equal(run(model), np.maximum(WEIGHTS, 0) - WEIGHTS)
    assert not sort_nodes(model, Path("m.onnx"))


def test_a_node_is_sorted_behind_what_its_subgraph_reads() -> None:
    branch = helper.make_graph(
        [helper.make_node("Neg", ["local"], ["inner"]), helper.make_node("Identity", ["a"], ["local"])], "branch", [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
    ]
    model = model_of(nodes, [weights(), numpy_helper.from_array(np.array(True), "yes")])
    assert sort_nodes(model, Path("m.onnx"))
    np.testing.assert_array_equal(run(model), -WEIGHTS)


def test_nodes_in_a_circle_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Neg", ["a"], ["b"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    onnx.save(model_of(nodes, [weights()]), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"m\.onnx: its nodes form a circle at 'first'"):
        read_third_party(tmp_path / "m.onnx")


@pytest.mark.parametrize(("shape", "cleared"), [([-1, 4], True), ([4, 4], True), ([0, 4], False)])
@pytest.mark.parametrize("as_node", [True, False])
def test_allowzero_is_cleared_only_where_it_means_nothing(shape: list[int], cleared: bool, as_node: bool) -> None:
    constant = numpy_helper.from_array(np.array(shape), "shape")
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"], allowzero=1),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    tensors = [weights()]
    if as_node:
        nodes.insert(0, helper.make_node("Constant", [], ["shape"], value=constant))
    else:
        tensors.append(constant)
    model = model_of(nodes, tensors)
    assert clear_allowzero(model) is cleared
    assert [len(node.attribute) for node in model.graph.node if node.op_type == "Reshape"] == [0 if cleared else 1]
    computed = model_of([helper.make_node("Reshape", ["x", "z"], ["y"], allowzero=1)], [])
    assert not clear_allowzero(computed)


class Theirs(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.last = torch.nn.Linear(48 * 48, 32), torch.nn.Linear(32, 3)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.hidden(faces.reshape(1, 48 * 48)).reshape(1, 32)))


@pytest.mark.slow
def test_torchs_default_export_is_adopted_and_runs(fer_export, tmp_path: Path) -> None:
    network, source, out = Theirs().eval(), tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    with quiet():
        torch.onnx.export(network, (torch.zeros(1, 1, 48, 48),), str(source), verbose=False)
    assert (tmp_path / "theirs.onnx.data").exists()
    nodes = onnx.load(source, load_external_data=False).graph.node
    assert any(one.name == "allowzero" for node in nodes for one in node.attribute)
    arguments = ["--labels", "a,b,c", "--input-size", "48", "--mean", "0", "--std", "255", "--color", "gray"]
    result = fer_export("adopt", source, "--out", out, *arguments)
    assert (result.code, result.stderr) == (0, "")
    assert "with the weights of theirs.onnx.data, plain Reshape nodes, uint8 input" in result.stdout
    (tmp_path / "theirs.onnx.data").unlink()
    faces = np.random.default_rng(0).integers(0, 256, (5, 1, 48, 48), dtype=np.uint8)
    with torch.no_grad():
        logits = torch.cat([network(torch.from_numpy(face[None]).float() / 255) for face in faces])
    np.testing.assert_allclose(Classifier(out).predict(faces), torch.softmax(logits, 1).numpy(), atol=1e-5)


def test_an_export_like_torchs_is_adopted_and_runs(fer_export, tmp_path: Path) -> None:
    """A fixed batch, allowzero and weights in a second file."""
    shape, source, out = np.array([1, 2304]), tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    matrix = np.random.default_rng(0).normal(0, 0.01, (2304, 3)).astype(np.float32)
    reshape = helper.make_node("Reshape", ["x", "s"], ["flat"], allowzero=1)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["flat", "w"], ["y"]), reshape],
        "theirs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 48, 48])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(matrix, "w"), numpy_helper.from_array(shape, "s")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(source), save_as_external_data=True, location="theirs.onnx.data", size_threshold=0)
    arguments = ["--labels", "a,b,c", "--input-size", "48", "--mean", "0", "--std", "255", "--color", "gray"]
    result = fer_export("adopt", source, "--out", out, *arguments)
    assert (result.code, result.stderr) == (0, "")
    assert "with the weights of theirs.onnx.data, sorted nodes, plain Reshape nodes, uint8 input" in result.stdout
    (tmp_path / "theirs.onnx.data").unlink()
    faces = np.random.default_rng(0).integers(0, 256, (5, 1, 48, 48), dtype=np.uint8)
    expected = torch.softmax(torch.from_numpy(faces.reshape(5, -1).astype(np.float32) / 255 @ matrix), 1).numpy()
    np.testing.assert_allclose(Classifier(out).predict(faces), expected, atol=1e-5)
