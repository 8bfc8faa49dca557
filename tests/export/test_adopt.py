"""Third-party networks: layouts, colors, fixed batches, a missing softmax, and what can't be adopted."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.framing import Square
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import Contract
from fer_export.adoption.probe import Kind, kind_of
from fer_train.evaluation.metrics import softmax

LABELS = ("happy", "sad", "neutral")


def network(
    folder: Path, shape: list[object], *, layout: str = "nchw", ending: str = "", flatten: list[int] | None = None
) -> Path:
    """An ONNX classifier of 3 classes: mean of each channel, a dense layer, and maybe a softmax."""
    channels = int(shape[1 if layout == "nchw" else 3])  # type: ignore[call-overload]
    weights = np.random.default_rng(3).normal(0, 1, (channels, 3)).astype(np.float32)
    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=axes, keepdims=0),
        helper.make_node("Reshape", ["means", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["faces"]),  # a name that the added nodes use, too
    ]
    last = "faces"
    if ending:
        nodes.append(helper.make_node(ending, [last], ["answer"], **({"axis": 1} if ending == "Softmax" else {})))
        last = "answer"
    constants = {"weights": weights, "shape": np.array(flatten or [-1, channels], dtype=np.int64)}
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [shape[0], 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    path = folder / "theirs.onnx"
    onnx.save(model, path)
    return path


def logits(images: np.ndarray, mean: list[float], std: list[float]) -> np.ndarray:
    """Of uint8 faces [N, C, H, W], by the definition of `network`."""
    normal = (images - np.reshape(mean, (1, -1, 1, 1))) / np.reshape(std, (1, -1, 1, 1))
    weights = np.random.default_rng(3).normal(0, 1, (images.shape[1], 3)).astype(np.float32)
    return normal.mean(axis=(2, 3)) @ weights


def adopting(source: Path, out: Path, **changes: object) -> list[object]:
    options = {"labels": ",".join(LABELS), "mean": "0", "std": "255", "color": "rgb", "input-size": "112"} | changes
    return ["adopt", source, "--out", out, *(word for name, value in options.items() for word in (f"--{name}", value))]


RGB = {"mean": "123.7,116.3,103.5", "std": "58.4,57.1,57.4", "layout": "nhwc"}


def test_an_nhwc_rgb_network_without_softmax_runs(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, [1, 112, 112, 3], layout="nhwc", flatten=[1, 3]), tmp_path / "ours.onnx"
    result = fer_export(*adopting(source, out, framing="1.3", dataset="AffectNet", **RGB))
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == (
        f"wrote {out}: {source} with uint8 input with normalization, free batch size, softmax and a contract\n"
    )
    classifier = Classifier(out)
    assert classifier.contract == Contract("classifier", LABELS, (112, 112), "rgb", framing=1.3, dataset="AffectNet")
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 112, 112), dtype=np.uint8)
    expected = softmax(logits(images, [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]))
    np.testing.assert_allclose(classifier.predict(images), expected, atol=1e-5)
    image = np.full((200, 200, 3), (10, 120, 250), dtype=np.uint8)  # blue, green, red
    red_first = np.broadcast_to(np.reshape([250, 120, 10], (1, 3, 1, 1)), (1, 3, 112, 112))
    expected = softmax(logits(red_first, [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]))
    np.testing.assert_allclose(classifier.classify(image, [Square(100, 100, 80)]), expected, atol=1e-5)


def test_a_gray_nchw_network_of_values_from_minus_one_to_one_keeps_its_softmax(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 1, 64, 48], ending="Softmax"), tmp_path / "ours.onnx"
    changes = {"mean": "127.5", "std": "127.5", "color": "gray", "input-size": "64x48"}
    result = fer_export(*adopting(source, out, **changes))
    assert result.code == 0 and "softmax" not in result.stdout and "free batch" not in result.stdout
    classifier = Classifier(out)
    assert classifier.contract.input_size == (64, 48)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 64, 48), dtype=np.uint8)
    np.testing.assert_allclose(classifier.predict(images), softmax(logits(images, [127.5], [127.5])), atol=1e-5)


def test_the_former_spelling_of_the_color_option_still_works(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 1, 48, 48]), tmp_path / "ours.onnx"
    words = [{"--color": "--colour"}.get(word, word) for word in adopting(source, out, color="grey")]
    assert fer_export(*words, "--input-size", "48").code == 0
    assert Classifier(out).contract.color == "grey"
    assert "colour" not in fer_export("adopt", "--help").stdout


def test_a_bgr_network_gets_its_channels_in_its_own_order(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, out, color="bgr", mean="10,20,30")).code == 0
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112), dtype=np.uint8)
    expected = softmax(logits(images[:, ::-1], [10, 20, 30], [255] * 3))
    np.testing.assert_allclose(Classifier(out).predict(images), expected, atol=1e-5)


def test_an_adopted_file_goes_through_inspect_and_evaluate(fer_export, faces_csv: Path, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 1, 48, 48]), tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, out, color="gray", **{"input-size": "48"})).code == 0
    assert '"checkpoint_sha256": ""' in fer_export("inspect", out).stdout
    result = fer_export("evaluate", out, "--data", faces_csv)  # its three classes are not the data's seven
    assert result.code == 1 and "was trained on happy, sad, neutral" in result.stderr
    result = fer_export("evaluate", out, "--data", faces_csv, "--classes", "happy,sad,neutral")
    assert result.code == 0 and "note: 24 faces of other classes are left out" not in result.stdout
    assert "on 18 PublicTest faces" in result.stdout


def refused(result, code: int, words: str, out: Path) -> None:
    assert result.code == code and result.stdout == "" and words in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) == 1 and not out.exists()
    assert not list(out.parent.glob(".*"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input-size": "96"}, "theirs.onnx takes [?, 3, 112, 112], not [N, 3, 96, 96]: check --input-size"),
        ({"layout": "nhwc"}, "not [N, 112, 112, 3]"),
        ({"color": "gray"}, "not [N, 1, 112, 112]"),
        ({"labels": "a,b,c,d"}, "gives [?, 3], but --labels names 4 emotions"),
    ],
)
def test_a_network_that_does_not_fit_the_options_is_refused(
    fer_export, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx"
    refused(fer_export(*adopting(source, out, **changes)), 1, words, out)


def test_shares_as_of_a_sigmoid_become_probabilities_by_their_sum(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["N", 3, 112, 112], ending="Sigmoid"), tmp_path / "ours.onnx"
    result = fer_export(*adopting(source, out))
    assert result.code == 0, result.stderr
    assert "division by the sum (shares, as of a sigmoid or in percent)" in result.stdout
    assert "softmax" not in result.stdout
    images = np.random.default_rng(5).integers(0, 256, (3, 3, 112, 112), dtype=np.uint8)
    shares = 1 / (1 + np.exp(-logits(images, [0], [255])))
    expected = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Classifier(out).predict(images), expected, atol=1e-5)
    assert fer_export(*adopting(source, out), "--softmax", "--overwrite").code == 0  # the user knows better
    np.testing.assert_allclose(Classifier(out).predict(images), softmax(shares), atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[0.2, 0.8], [0.5, 0.5]], Kind.PROBABILITIES), ([[0.2, 0.9], [0.5, 0.5]], Kind.SHARES),
        ([[20, 80], [50, 50.01]], Kind.SHARES), ([[0, 0], [0, 0]], Kind.LOGITS), ([[-0.1, 1.1]], Kind.LOGITS),
        ([[3, 1.5], [2, 7]], Kind.LOGITS), ([[-0.2, -1.7]], Kind.LOGITS),
    ],
)  # fmt: skip
def test_outputs_are_known_by_their_values(rows: list[list[float]], kind: Kind) -> None:
    assert kind_of(np.array(rows, np.float32)) is kind


def test_a_network_that_needs_a_softmax_and_must_not_get_one_is_refused(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx"
    refused(fer_export(*adopting(source, out), "--no-softmax"), 1, "is not a row of 3 probabilities", out)


def test_a_network_without_values_is_refused(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx"
    model = onnx.load(source)
    weights = next(each for each in model.graph.initializer if each.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(np.zeros((3, 0), np.float32), "weights"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 0
    onnx.save(model, source)
    refused(fer_export(*adopting(source, out)), 1, "gives [?, 0], but --labels names 3 emotions", out)


def test_a_file_that_has_a_contract_needs_no_adoption(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx"
    assert fer_export(*adopting(source, tmp_path / "first.onnx")).code == 0
    refused(fer_export(*adopting(tmp_path / "first.onnx", out)), 1, "has a contract already", out)


@pytest.mark.parametrize("name", ["theirs.onnx", "link.onnx"])
def test_the_network_that_is_adopted_is_never_replaced(fer_export, tmp_path: Path, name: str) -> None:
    source = network(tmp_path, ["n", 3, 112, 112])
    (tmp_path / "link.onnx").symlink_to("theirs.onnx")
    before = source.read_bytes()
    result = fer_export(*adopting(source, tmp_path / name), "--overwrite")
    assert (result.code, result.stderr.count("\n")) == (2, 1) and "which is read" in result.stderr
    assert source.read_bytes() == before


def test_an_adopted_file_must_end_in_onnx(fer_export, tmp_path: Path) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx.data"
    refused(fer_export(*adopting(source, out)), 2, "must end in .onnx", out)


def test_a_graph_made_for_one_face_is_refused(fer_export, tmp_path: Path) -> None:
    # Its Reshape to [3] fits one face only.
    source, out = network(tmp_path, [1, 3, 112, 112], flatten=[3]), tmp_path / "ours.onnx"
    refused(fer_export(*adopting(source, out)), 1, "takes one face at a time", out)


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Softmax", ["faces"], ["answer"], axis=0)],
        [helper.make_node("RandomNormalLike", ["faces"], ["r"]), helper.make_node("Add", ["faces", "r"], ["answer"])],
    ],
)
def test_a_network_whose_answers_depend_on_the_batch_is_refused(fer_export, tmp_path: Path, nodes: list) -> None:
    source, out = network(tmp_path, ["n", 3, 112, 112]), tmp_path / "ours.onnx"
    model = onnx.load(source)
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "answer"
    onnx.save(model, source)
    refused(fer_export(*adopting(source, out)), 1, "gives a face other values in a batch than alone", out)


def test_a_free_size_that_the_network_does_not_take_is_the_options_fault(fer_export, tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "weights"], ["answer"])],
        "theirs", [image], [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.ones((3 * 48 * 48, 3), np.float32), "weights")],
    )  # fmt: skip
    source, out = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), source)
    refused(fer_export(*adopting(source, out)), 1, "check the options against it", out)
    assert fer_export(*adopting(source, out, **{"input-size": "48"})).code == 0


def test_a_network_that_does_not_take_floats_is_refused(fer_export, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["answer"])], "theirs",
        [helper.make_tensor_value_info("image", TensorProto.INT64, ["n", 3])],
        [helper.make_tensor_value_info("answer", TensorProto.INT64, ["n", 3])],
    )  # fmt: skip
    source, out = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), source)
    refused(fer_export(*adopting(source, out)), 1, "takes int64 values", out)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": "happy"}, "two or more different names"),
        ({"labels": "a,a,b"}, "two or more different names"),
        ({"labels": "a,,b"}, "two or more different names"),
        ({"input-size": "big"}, "--input-size"),
        ({"input-size": "0"}, "--input-size"),
        ({"input-size": "1x2x3"}, "--input-size"),
        ({"mean": "1,2"}, "--mean must be 1 or 3 finite numbers"),
        ({"mean": "nan"}, "--mean must be"),
        ({"std": "x"}, "--std"),
        ({"std": "0"}, "--std must be above 0"),
        ({"framing": "0"}, "--framing"),
        ({"framing": "1001"}, "1001 must be a number from 0.001 to 1000"),
        ({"mean": "1e39"}, "--mean must be 1 or 3 finite numbers that float32 can hold"),
        ({"mean": "1,2", "color": "gray"}, "--mean must be one finite number"),
        ({"std": "1e39"}, "--std must be 1 or 3 finite numbers that float32 can hold"),
        ({"std": "1e-50"}, "--std must be above 0"),
        ({"input-size": "513"}, "513 must be from 1 to 512 pixels"),
        ({"input-size": "9" * 5000}, "must be from 1 to 512 pixels"),
        ({"dataset": "a" * 1001}, "--dataset must be a text of at most 1000 printable characters"),
        ({"dataset": "a\udcff"}, "--dataset must be a text"),
        ({"labels": ",".join(map(str, range(1001)))}, "it names 1,001 labels, more than 1,000"),
        ({"color": "hsv"}, "--color"),
        ({"layout": "chw"}, "--layout"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(
    fer_export, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    refused(fer_export(*adopting(tmp_path / "no.onnx", tmp_path / "o.onnx", **changes)), 2, words, tmp_path / "o.onnx")


def test_a_missing_or_broken_input_and_an_existing_output_are_refused(fer_export, tmp_path: Path) -> None:
    out = tmp_path / "ours.onnx"
    refused(fer_export(*adopting(tmp_path / "no.onnx", out)), 1, "no.onnx is not a file", out)
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    refused(fer_export(*adopting(tmp_path / "bad.onnx", out)), 1, "bad.onnx is not a usable ONNX file", out)
    source = network(tmp_path, ["n", 3, 112, 112])
    out.write_text("mine")
    assert "exists" in fer_export(*adopting(source, out)).stderr and out.read_text() == "mine"
    assert fer_export(*adopting(source, out), "--overwrite").code == 0
    metadata = onnx.load(out).metadata_props
    assert [entry.key for entry in metadata] == ["fer.contract"]
    assert json.loads(metadata[0].value)["labels"] == list(LABELS)
