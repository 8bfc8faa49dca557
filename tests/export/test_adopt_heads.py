"""Third-party networks with several outputs: which become heads, what is left out, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ContractError
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import METADATA_KEY
from fer_export.adoption.heads import AdoptedHead
from fer_export.graph.onnx_file import drop_unused_nodes
from fer_train.evaluation.metrics import softmax

FACES = np.random.default_rng(0).integers(0, 256, (4, 1, 48, 48), dtype=np.uint8)
CALM, SMILE = "calm=out/calm:0:angry,sad,neutral", "smile=smile:happy,other"
OPTIONS = ("--input-size", 48, "--mean", 0, "--std", 255, "--color", "gray")


def weights(classes: int) -> np.ndarray:
    """Of the dense layer behind the output with that many values."""
    return np.random.default_rng(classes).normal(0, 3, (1, classes)).astype(np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs: the mean itself, three logits under a name with a colon, two probabilities, and a label's number."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["features"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["features", "w3"], ["out/calm:0"]),
        helper.make_node("MatMul", ["features", "w2"], ["two"]),
        helper.make_node("Softmax", ["two"], ["smile"], axis=1),
        helper.make_node("MatMul", ["features", "w9"], ["nine"]),
        helper.make_node("ArgMax", ["nine"], ["best"], axis=1),
    ]
    outputs = [("features", 1), ("out/calm:0", 3), ("smile", 2)]
    graph = helper.make_graph(
        nodes, "theirs", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 48, 48])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in outputs]
        + [helper.make_tensor_value_info("best", TensorProto.INT64, ["n", 1])],
        [numpy_helper.from_array(weights(size), f"w{size}") for size in (2, 3, 9)],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("theirs") / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def adopting(source: Path, out: Path, *heads: str) -> list[object]:
    return ["adopt", source, "--out", out, *OPTIONS, *(word for head in heads for word in ("--head", head))]


def test_outputs_become_heads_in_the_order_asked_for(fer_export: Callable, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.onnx"
    result = fer_export(*adopting(source, out, SMILE, CALM), "--min-confidence", "0.2,calm=0.4", "--dataset", "Own")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == (
        f"wrote {out}: {source} with uint8 input with normalization, softmax of calm and a contract, "
        "without its outputs features, best\n"
    )
    mean = (FACES / np.float32(255)).mean(axis=(2, 3))
    for name, labels, threshold in (("smile", ("happy", "other"), 0.2), ("calm", ("angry", "sad", "neutral"), 0.4)):
        classifier = Classifier(out, head=name)
        assert (classifier.labels, classifier.min_confidence) == (labels, threshold)
        np.testing.assert_allclose(classifier.predict(FACES), softmax(mean @ weights(len(labels))), atol=1e-5)
    contract = classifier.contract
    assert [(head.name, head.output, head.dataset) for head in contract.heads] == [
        ("smile", "smile", "Own"), ("calm", "calm", "Own"),
    ]  # fmt: skip
    assert (contract.labels, contract.min_confidence, Classifier(out).head) == (("happy", "other"), 0.2, "smile")
    model = onnx.load(out)
    assert [output.name for output in model.graph.output] == ["smile", "calm"]
    assert "ArgMax" not in {node.op_type for node in model.graph.node}
    assert 9 not in {size for tensor in model.graph.initializer for size in tensor.dims}


@pytest.mark.parametrize("name", ["faces", "probabilities", "face_mean", "logits", "face", "image", "features"])
def test_a_head_may_have_the_name_of_any_tensor(fer_export: Callable, source: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, out, CALM.replace("calm", name, 1), SMILE)).code == 0
    assert Classifier(out, head=name).predict(FACES).shape == (4, 3)


def test_two_heads_never_share_an_output(fer_export: Callable, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.onnx"
    taken = CALM.replace("calm", "faces", 1), SMILE.replace("smile", "faces_probabilities", 1)
    assert fer_export(*adopting(source, out, *taken)).code == 0
    outputs = [head.output for head in Classifier(out).contract.heads]
    assert outputs == ["faces_probabilities_", "faces_probabilities"]


def test_a_single_head_keeps_its_name(fer_export: Callable, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, out, CALM)).code == 0
    assert Classifier(out, head="calm").labels == Classifier(out).labels == ("angry", "sad", "neutral")


def test_labels_alone_choose_the_output_that_they_fit_and_the_others_are_named(
    fer_export: Callable, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ours.onnx"
    result = fer_export(*adopting(source, out), "--labels", "angry,sad,neutral")
    assert "without its outputs features, smile, best" in result.stdout
    assert Classifier(out).contract.heads == () and Classifier(out).predict(FACES).shape == (4, 3)


def test_every_head_of_an_adopted_file_is_shown_and_scored(
    fer_export: Callable, source: Path, faces_csv: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, out, SMILE, CALM)).code == 0
    shown = [line.split() for line in fer_export("inspect", out).stdout.splitlines()]
    assert ["calm", "3", "1", "0", "-", "-"] in shown and ["smile", "2", "1", "0", "-", "-"] in shown
    kept = ["--data", faces_csv, "--classes", "angry,sad,neutral"]
    assert "on 18 PublicTest faces" in fer_export("evaluate", out, "--head", "calm", *kept).stdout
    refused = fer_export("evaluate", out, "--head", "smile", *kept)
    assert refused.code == 1 and "was trained on happy, other" in refused.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda heads: heads.reverse(), "is not that of its first head, calm"),
        (lambda heads: heads[1].update(output="best"), "its outputs are smile, calm, but its contract has the heads"),
        (lambda heads: heads[1].update(temperature=-1), "temperature of the head 'calm' can't be -1"),
    ],
)
def test_inspect_says_why_fer_edge_refuses_a_file_whose_heads_were_edited(
    fer_export: Callable, source: Path, tmp_path: Path, change: Callable, words: str
) -> None:
    out = tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, out, SMILE, CALM)).code == 0
    model = onnx.load(out)
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    values = json.loads(entry.value)
    change(values["heads"])
    entry.value = json.dumps(values)
    onnx.save(model, out)
    result = fer_export("inspect", out)
    (refused,) = (line for line in result.stdout.splitlines() if line.startswith("REFUSED"))
    assert result.code == 0
    assert re.search(f"{re.escape(str(out))}: .*{words}", refused)
    with pytest.raises(ContractError, match=words):
        Classifier(out)


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        (["a=logits:x,y"], "has no output 'logits' for the head a: choose one of features, out/calm:0, smile, best"),
        (["a=smile:x,y,z"], "gives [?, 2] in smile, but the head a names 3 emotions: name one per value"),
        (["a=smile:x,y", "b=out/calm:0:x,y"], "gives [?, 3] in out/calm:0, but the head b names 2 emotions"),
        (["a=smile:x,y", "b=best:x,y"], "gives [?, 1] in best, but the head b names 2 emotions"),
    ],
)
def test_heads_that_do_not_fit_the_network_are_refused(
    fer_export: Callable, source: Path, tmp_path: Path, heads: list[str], words: str
) -> None:
    result = fer_export(*adopting(source, tmp_path / "ours.onnx", *heads))
    assert (result.code, result.stdout, result.stderr.count("\n")) == (1, "", 1) and words in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_output_of_other_numbers_is_refused(fer_export: Callable, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["image"], ["answer"], to=TensorProto.INT64)], "theirs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 2, 1])],
        [helper.make_tensor_value_info("answer", TensorProto.INT64, ["n", 1, 2, 1])],
    )  # fmt: skip
    source = tmp_path / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), source)
    for head in (["--head", "a=answer:x,y"], ["--labels", "x,y"]):
        result = fer_export(*adopting(source, tmp_path / "ours.onnx"), "--input-size", "2x1", *head)
        assert result.code == 1 and "gives int64 values in answer, but only float outputs" in result.stderr


@pytest.mark.parametrize("sides", [["n", "k"], None])
def test_an_output_of_unknown_width_is_measured(
    fer_export: Callable, tmp_path: Path, sides: list[object] | None
) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w3"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes, "theirs", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 48, 48])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(weights(3), "w3")],
    )  # fmt: skip
    source, out = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), source)
    for head, asked in (
        (["--head", "a=answer:x,y"], " in answer, but the head a"),
        (["--labels", "x,y"], ", but --labels"),
    ):
        result = fer_export(*adopting(source, out), *head)
        assert result.code == 1 and not out.exists()
        assert f"gives [?, 3]{asked} names 2 emotions" in result.stderr
    assert fer_export(*adopting(source, out), "--head", "a=answer:x,y,z").code == 0
    assert Classifier(out, head="a").predict(FACES).shape == (4, 3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--head", "smile"], "'smile' is not NAME=OUTPUT:LABEL,LABEL,..."),
        (["--head", "smile=happy,other"], "is not NAME=OUTPUT:"),
        (["--head", "=smile:happy,other"], "is not NAME=OUTPUT:"),
        (["--head", "smile=:happy,other"], "is not NAME=OUTPUT:"),
        (["--head", "My Head=smile:happy,other"], "'My Head' can't be a head's name"),
        (["--head", "smile=smile:happy"], "must be two or more different names"),
        (["--head", "smile=smile:happy,Happy"], "must be two or more different names"),
        (["--head", "smile=smile:happy,\x1b[31m"], "can't be a label: it has characters"),
        (["--head", SMILE, "--head", SMILE.replace("smile:", "x:")], "--head names 'smile' twice"),
        (["--head", SMILE, "--head", "b=smile:x,y"], "--head names 'smile' twice"),
        (["--head", SMILE, "--labels", "happy,other"], "give one"),
        ([], "give one"),
        (
            ["--head", SMILE, "--min-confidence", "b=0.5"],
            "which the file won't have: choose one of smile",
        ),
        (["--labels", "a,b", "--min-confidence", "b=0.5"], "which the file won't have: give one number"),
        (["--head", SMILE, "--min-confidence", "1"], "--min-confidence"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    fer_export: Callable, source: Path, tmp_path: Path, words: list[str], says: str
) -> None:
    result = fer_export(*adopting(source, tmp_path / "ours.onnx"), *words)
    assert (result.code, result.stdout, result.stderr.count("\n")) == (2, "", 1) and says in result.stderr
    assert not list(tmp_path.iterdir())


def test_spaces_around_the_parts_of_a_head_do_not_count() -> None:
    assert AdoptedHead.parse(" smile = a:b : happy, not happy ") == AdoptedHead(("happy", "not happy"), "smile", "a:b")


def test_nodes_that_only_a_subgraph_reads_are_needed() -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["outer"], ["chosen"])], "branch", [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    nodes = [
        helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner),  # unsorted: read before written
        helper.make_node("Neg", ["constant"], ["outer"]),
        helper.make_node("Neg", ["unread"], ["nothing"]),
    ]
    values = {"yes": np.array(True), "constant": np.ones(1, np.float32), "unread": np.ones(1, np.float32)}
    graph = helper.make_graph(
        nodes, "g", [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    drop_unused_nodes(graph)
    assert [node.op_type for node in graph.node] == ["If", "Neg"]
    assert [tensor.name for tensor in graph.initializer] == ["yes", "constant"]
