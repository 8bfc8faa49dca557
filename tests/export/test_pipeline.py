"""A whole export: its files, its report, and that a failure leaves nothing behind."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fer_edge.classifier import Classifier
from fer_edge.contract import METADATA_KEY, Contract, parse_contract
from fer_edge.errors import DataError, GateError, ModelError, OutputError
from fer_export import pipeline
from fer_export.outputs import Outputs
from fer_export.parity import torch_logits
from fer_export.pipeline import ExportOptions, run_export
from fer_train.checkpoint import Checkpoint, save_checkpoint
from fer_train.data import FER2013_CLASSES, FaceData
from fer_train.metrics import softmax
from fer_train.networks import Network


def ignore(_line: str) -> None:
    pass


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_processes_in_two_folders_write_the_same_bytes(
    finished, checkpoint_file: Path, options: ExportOptions, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere" / "best.pt"
    elsewhere.parent.mkdir()
    shutil.copy(checkpoint_file, elsewhere)
    run_export(replace(options, checkpoint=elsewhere), ignore)
    for name in ("m.onnx", "m.int8.onnx"):
        assert (tmp_path / name).read_bytes() == (finished.folder / name).read_bytes()


def test_the_contract_says_all_that_the_runtime_needs(finished, checkpoint_file: Path) -> None:
    for name, key in (("m.onnx", "fp32"), ("m.int8.onnx", "int8")):
        properties = onnx.load(finished.folder / name).metadata_props
        assert [entry.key for entry in properties] == [METADATA_KEY]
        assert parse_contract(properties[0].value, name) == Contract(
            kind="classifier",
            labels=FER2013_CLASSES,
            input_size=(48, 48),
            colour="grey",
            temperature=1.25,
            dataset="faces.csv",
            accuracy={
                "split": "PublicTest", "images": 42, "accuracy": round(finished.report["accuracy"][key], 6),
            },
            checkpoint_sha256=hashlib.sha256(checkpoint_file.read_bytes()).hexdigest(),
        )  # fmt: skip


@pytest.mark.parametrize(("name", "tolerance"), [("m.onnx", 1e-5), ("m.int8.onnx", 0.15)])
def test_the_runtimes_classifier_gives_pytorchs_probabilities(
    finished, faces: FaceData, network: Network, name: str, tolerance: float
) -> None:
    classifier = Classifier(finished.folder / name)
    assert classifier.labels == FER2013_CLASSES
    assert classifier.precision == ("int8" if "int8" in name else "fp32")
    expected = softmax(torch_logits(network, 1.25, faces.images))
    probabilities = classifier.predict(faces.images[:, None])
    np.testing.assert_allclose(probabilities, expected, atol=tolerance)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_files_hold_no_path_of_this_machine(finished, checkpoint_file: Path) -> None:
    for path in finished.folder.iterdir():
        content = path.read_bytes()
        for place in (finished.folder, checkpoint_file.parent, Path(pipeline.__file__).parent, Path.home()):
            assert str(place).encode() not in content, path.name


def test_the_report_has_every_figure(finished) -> None:
    report = finished.report
    assert set(report) == {
        "schema", "checkpoint", "files", "parity", "agreement", "accuracy", "calibration", "latency_ms",
        "latency_ratio", "fused_operators", "gates", "notes", "versions", "machine",
    }  # fmt: skip
    for key, name in (("fp32", "m.onnx"), ("int8", "m.int8.onnx")):
        content = (finished.folder / name).read_bytes()
        assert report["files"][key] == {
            "file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        }  # fmt: skip
        assert report["latency_ms"][key]["median"] > 0
        assert 0 <= report["accuracy"][f"{key}_deduplicated"] <= 1
    assert report["checkpoint"]["file"] == "best.pt"
    assert report["parity"]["batches"] == [1, 2, 5, 64]
    assert report["fused_operators"]["convolutions"] == report["fused_operators"]["int8"]["QLinearConv"] == 10
    assert report["calibration"]["images"] == 64
    assert (report["accuracy"]["images"], report["accuracy"]["split"]) == (42, "PublicTest")
    assert all(gate["passed"] for gate in report["gates"])
    assert [gate["name"] for gate in report["gates"]] == [
        "batch_norms_left", "parity_max_abs_delta", "parity_batch_delta", "probability_sum_error",
        "int8_convolutions", "float_convolutions", "agreement",
    ]  # fmt: skip
    assert any("accuracy drop not judged" in note for note in report["notes"])


def test_the_table_is_all_of_stdout_and_aligned(finished) -> None:
    lines = finished.result.stdout.splitlines()
    assert lines[0].split() == ["size", "accuracy", "de-duplicated", "macro-F1", "agreement", "latency"]
    assert lines[1].startswith("fp32") and lines[2].startswith("int8")
    assert len({len(line) for line in lines[:3]}) == 1
    assert re.match(r"(int8 runs \d+\.\d\d times as fast|use fp32 here)", lines[3])
    assert lines[-1] == "wrote m.onnx, m.int8.onnx, m.export.json"


def test_stderr_holds_our_own_progress_and_no_chatter(finished) -> None:
    words = [line.split()[0] for line in finished.result.stderr.splitlines()]
    assert words == ["Reading", "Converting", "Quantising", "Measuring", "Timing"]


@pytest.mark.usefixtures("ready_conversion")
def test_without_data_accuracies_are_null(options: ExportOptions, tmp_path: Path) -> None:
    run_export(replace(options, quantize=False, data=None), ignore)
    assert left_in(tmp_path) == ["m.export.json", "m.onnx"]
    report = json.loads((tmp_path / "m.export.json").read_text())
    assert set(report["accuracy"].values()) == {None}
    assert report["agreement"] is report["latency_ratio"] is report["calibration"] is None
    assert Classifier(tmp_path / "m.onnx").contract.accuracy is None


def corrupt(model: onnx.ModelProto) -> onnx.ModelProto:
    broken = onnx.ModelProto()
    broken.CopyFrom(model)
    tensor = next(tensor for tensor in broken.graph.initializer if tensor.name == "network.classifier.bias")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.1), tensor.name))
    return broken


def test_a_failed_gate_writes_nothing(
    options: ExportOptions, fp32: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "to_onnx", lambda *_: corrupt(fp32))
    with pytest.raises(GateError, match="parity_max_abs_delta"):
        run_export(options, ignore)
    assert left_in(tmp_path) == []


@pytest.mark.usefixtures("ready_conversion")
def test_a_late_failed_gate_writes_nothing_either(
    options: ExportOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "agreement", lambda *_: 0.5)
    with pytest.raises(GateError, match=r"agreement is 0\.5"):
        run_export(options, ignore)
    assert left_in(tmp_path) == []


def test_force_writes_and_records_the_failure(
    options: ExportOptions, fp32: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "to_onnx", lambda *_: corrupt(fp32))
    said: list[str] = []
    run_export(replace(options, force=True, quantize=False), said.append)
    assert left_in(tmp_path) == ["m.export.json", "m.onnx"]
    gates = {gate["name"]: gate for gate in json.loads((tmp_path / "m.export.json").read_text())["gates"]}
    assert not gates["parity_max_abs_delta"]["passed"] and gates["parity_max_abs_delta"]["value"] > 0.05
    assert any("gate failed" in line for line in said)


@pytest.mark.parametrize("name", ["m.onnx", "m.int8.onnx", "m.export.json"])
def test_an_existing_output_is_refused_before_any_work_and_kept(
    options: ExportOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(pipeline, "load_checkpoint", lambda *_: pytest.fail("work was begun"))
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name} exists.*--overwrite"):
        run_export(options, ignore)
    assert left_in(tmp_path) == [name] and (tmp_path / name).read_text() == "mine"


@pytest.mark.usefixtures("ready_conversion")
def test_overwrite_replaces(options: ExportOptions, tmp_path: Path) -> None:
    options.out.write_text("old")
    run_export(replace(options, quantize=False, overwrite=True), ignore)
    assert Classifier(tmp_path / "m.onnx").contract.accuracy is not None


def test_an_interruption_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_text("model")
    target = tmp_path / "target"
    target.mkdir()
    copies = []

    def interrupted(_from: Path, to: Path) -> None:
        copies.append(to)
        Path(to).write_text("half")
        if len(copies) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("fer_export.outputs.shutil.copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Outputs.named_after(target / "m.onnx", quantize=True).write({"fp32": source, "int8": source}, {})
    assert len(copies) == 2 and left_in(target) == []


def test_the_outputs_are_named_after_the_fp32_file() -> None:
    outputs = Outputs.named_after(Path("runs/best.v2.onnx"), quantize=True)
    assert [path.name for path in outputs.paths] == ["best.v2.onnx", "best.v2.int8.onnx", "best.v2.export.json"]


def test_data_of_other_classes_than_the_checkpoints_is_refused(
    options: ExportOptions, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    other = replace(checkpoint, classes=("glad", *checkpoint.classes[1:]))
    save_checkpoint(other, tmp_path / "other.pt")
    with pytest.raises(DataError, match="trained on glad, disgust"):
        run_export(replace(options, checkpoint=tmp_path / "other.pt"), ignore)
    assert left_in(tmp_path) == ["other.pt"]


def test_a_checkpoint_with_a_strange_mean_is_refused(
    options: ExportOptions, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    save_checkpoint(replace(checkpoint, mean=127.3), tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"mean 127\.3 is no whole number"):
        run_export(replace(options, checkpoint=tmp_path / "other.pt", quantize=False, data=None), ignore)


def test_quantising_without_data_is_a_programming_error(options: ExportOptions) -> None:
    with pytest.raises(ValueError, match="calibrate"):
        replace(options, data=None)
