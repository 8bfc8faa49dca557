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

from fer_edge.errors import ContractError, DataError, GateError, ModelError, OutputError
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import METADATA_KEY, Contract, parse_contract
from fer_export import classifier as classifier_export
from fer_export.checks.measure import Latency, Spread
from fer_export.checks.parity import torch_logits
from fer_export.classifier import ClassifierExport, ClassifierExportOptions
from fer_export.inspection import describe
from fer_export.job import Log
from fer_export.outputs import Outputs
from fer_export.report import Report, latency_advice
from fer_train.data import FER2013_CLASSES, FaceData
from fer_train.evaluation.metrics import softmax
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from tests.schemas import check


def ignore(_line: str) -> None:
    pass


def run_export(options: ClassifierExportOptions, log: Log = ignore) -> tuple[Report, list[Path]]:
    return ClassifierExport(options, log).run()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("ready_conversion")  # by this process
def test_two_processes_in_two_folders_write_the_same_bytes(
    finished, checkpoint_file: Path, options: ClassifierExportOptions, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere" / "best.pt"
    elsewhere.parent.mkdir()
    shutil.copy(checkpoint_file, elsewhere)
    run_export(replace(options, checkpoint=elsewhere))
    for name in ("m.onnx", "m.int8.onnx"):
        assert (tmp_path / name).read_bytes() == (finished.folder / name).read_bytes()


def test_the_contract_holds_all_that_the_runtime_needs(finished, checkpoint_file: Path) -> None:
    for name, key in (("m.onnx", "fp32"), ("m.int8.onnx", "int8")):
        properties = onnx.load(finished.folder / name).metadata_props
        assert [entry.key for entry in properties] == [METADATA_KEY]
        assert parse_contract(properties[0].value, name) == Contract(
            kind="classifier",
            labels=FER2013_CLASSES,
            input_size=(48, 48),
            color="grey",
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
    some = faces.images[::5]
    expected = softmax(torch_logits(network, 1.25, some))
    probabilities = classifier.predict(some[:, None])
    np.testing.assert_allclose(probabilities, expected, atol=tolerance)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_files_hold_no_path_of_this_machine(finished, checkpoint_file: Path) -> None:
    for path in finished.folder.iterdir():
        content = path.read_bytes()
        for place in (finished.folder, checkpoint_file.parent, Path(classifier_export.__file__).parent, Path.home()):
            assert str(place).encode() not in content, path.name


def test_the_report_has_every_figure(finished) -> None:
    report = finished.report
    check(report, "export")
    assert set(report) == {
        "schema", "checkpoint", "files", "parity", "agreement", "accuracy", "calibration", "latency_ms",
        "latency_ratio", "fused_operators", "gates", "notes", "versions", "machine",
        "int8_consistency", "temperature",
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
    calibration = report["calibration"]
    assert (calibration["images"], calibration["tuning_images"], calibration["seed"]) == (512, 212, 0)
    assert [(way["calibrator"], way["corrected"]) for way in calibration["candidates"]] == [
        ("minmax", False), ("percentile-99.999", False), ("percentile-99.99", False), ("entropy", False),
        (calibration["candidates"][-1]["calibrator"], True),
    ]  # fmt: skip
    assert calibration["chosen"]["agreement"] == max(way["agreement"] for way in calibration["candidates"])
    assert report["int8_consistency"]["batch_delta"] == 0
    assert report["temperature"] is None  # 42 test faces are too few to fit it
    assert (report["accuracy"]["images"], report["accuracy"]["split"]) == (42, "PublicTest")
    assert all(gate["passed"] for gate in report["gates"])
    assert [gate["name"] for gate in report["gates"]] == [
        "batch_norms_left", "parity_max_abs_delta", "parity_batch_delta", "probability_sum_error",
        "int8_convolutions", "float_convolutions", "int8_batch_delta", "int8_probability_sum_error", "agreement",
    ]  # fmt: skip
    assert any("accuracy drop not checked" in note for note in report["notes"])


def test_stdout_is_the_aligned_table_alone(finished) -> None:
    lines = finished.result.stdout.splitlines()
    assert lines[0].split() == ["size", "accuracy", "de-duplicated", "macro-F1", "agreement", "latency"]
    assert lines[1].startswith("fp32") and lines[2].startswith("int8")
    assert len({len(line) for line in lines[:3]}) == 1
    assert re.match(r"calibrator \S+.* agreement on 212 other training faces \(.*entropy", lines[3])
    assert re.match(r"(int8 runs \d+\.\d\d times as fast|use fp32 here)", lines[4])
    assert lines[-1] == "wrote m.onnx, m.int8.onnx, m.export.json"


def test_a_log_file_gets_no_progress_lines(finished) -> None:
    assert finished.result.stderr == "", "an error must stand alone there; progress is for terminals"


@pytest.mark.usefixtures("ready_conversion")
def test_without_data_accuracies_are_null(options: ClassifierExportOptions, tmp_path: Path) -> None:
    run_export(replace(options, quantize=False, data=None))
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
    options: ClassifierExportOptions, fp32: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier_export, "classifier_to_onnx", lambda *_: corrupt(fp32))
    with pytest.raises(GateError, match="parity_max_abs_delta"):
        run_export(options)
    assert left_in(tmp_path) == []


@pytest.mark.usefixtures("ready_conversion")
def test_a_late_failed_gate_writes_nothing_either(
    quick: ClassifierExportOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier_export, "agreement", lambda *_: 0.5)
    with pytest.raises(GateError, match=r"agreement is 0\.5"):
        run_export(quick)
    assert left_in(tmp_path) == []


def test_force_writes_reports_the_failure_and_marks_the_contract(
    options: ClassifierExportOptions, fp32: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier_export, "classifier_to_onnx", lambda *_: corrupt(fp32))
    lines: list[str] = []
    run_export(replace(options, force=True, quantize=False), lines.append)
    assert left_in(tmp_path) == ["m.export.json", "m.onnx"]
    gates = {gate["name"]: gate for gate in json.loads((tmp_path / "m.export.json").read_text())["gates"]}
    assert not gates["parity_max_abs_delta"]["passed"] and gates["parity_max_abs_delta"]["value"] > 0.05
    assert any("gate failed" in line for line in lines)
    assert Classifier(tmp_path / "m.onnx").contract.failed_gates == ("parity_max_abs_delta",)
    assert "FAILED    parity_max_abs_delta" in describe(tmp_path / "m.onnx")


@pytest.mark.usefixtures("ready_conversion")
def test_a_failed_int8_file_warns_once_and_the_fp32_one_beside_it_does_not(
    quick: ClassifierExportOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(classifier_export, "agreement", lambda *_: 0.5)
    run_export(replace(quick, force=True))
    assert caplog.messages == []  # the export has reported it itself
    assert Classifier(tmp_path / "m.onnx").contract.failed_gates == ()
    classifier = Classifier(tmp_path / "m.int8.onnx")
    classifier.predict(np.zeros((3, 1, 48, 48), dtype=np.uint8))
    assert classifier.contract.failed_gates == ("agreement",)
    path = tmp_path / "m.int8.onnx"
    assert caplog.messages == [f"{path} was exported with --force and fails agreement: its labels may be wrong"]


@pytest.mark.parametrize("garbled", ["[1, 2]", "7", "null"])
def test_a_contract_with_garbled_failed_gates_is_refused(garbled: str) -> None:
    good = Contract("classifier", ("happy", "sad"), (48, 48), "grey", failed_gates=("agreement",)).to_json()
    assert parse_contract(good, "m.onnx").failed_gates == ("agreement",)
    with pytest.raises(ContractError, match=r"m\.onnx: its contract"):
        parse_contract(good.replace('["agreement"]', garbled), "m.onnx")


@pytest.mark.usefixtures("ready_conversion")
def test_the_report_says_where_fp32_is_the_better_choice(
    quick: ClassifierExportOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Latency({name: Spread(1, 1, 1) for name in ("fp32", "int8")}, Spread(0.8, 0.7, 0.9))
    monkeypatch.setattr(classifier_export, "measure_latency", lambda *_: slow)
    report, _ = run_export(quick)
    assert "use fp32 here: int8 runs only 0.80 times as fast (90 % of rounds: 0.70 to 0.90; " in report.table([])
    fast = latency_advice(replace(slow, ratio=Spread(3, 2.9, 3.1)))
    assert fast.startswith("int8 runs 3.00 times as fast as fp32 here (90 % of rounds: 2.90 to 3.10; ")
    monkeypatch.setattr("fer_export.report.dot_product_flag", lambda: "asimddp")
    middling = latency_advice(replace(slow, ratio=Spread(2, 1.9, 2.1)))
    assert "2.00 times as fast as fp32 here, below the 2.5 usual with asimddp instructions" in middling


@pytest.mark.usefixtures("ready_conversion")
def test_int8_gets_its_own_temperature_if_test_faces_suffice(
    quick: ClassifierExportOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier_export, "MIN_IMAGES", 42)
    report, _ = run_export(quick)
    fitted = json.loads((tmp_path / "m.export.json").read_text())["temperature"]
    assert (fitted["before"], fitted["images"], fitted["split"]) == (1.25, 42, "PublicTest")
    assert 0 <= fitted["ece_after"] <= 1
    assert f"int8's temperature is {fitted['after']:g}, fitted on 42 PublicTest faces (fp32: 1.25)" in report.table([])
    assert Classifier(tmp_path / "m.onnx").contract.temperature == 1.25
    assert Classifier(tmp_path / "m.int8.onnx").contract.temperature == fitted["after"] != 1.25


@pytest.mark.parametrize("name", ["m.onnx", "m.int8.onnx", "m.export.json"])
def test_an_existing_output_is_refused_before_any_work_and_kept(
    options: ClassifierExportOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(classifier_export, "load_checkpoint", lambda *_: pytest.fail("work was begun"))
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name} exists.*--overwrite"):
        run_export(options)
    assert left_in(tmp_path) == [name] and (tmp_path / name).read_text() == "mine"


@pytest.mark.usefixtures("ready_conversion")
def test_overwrite_replaces_existing_files(options: ClassifierExportOptions, tmp_path: Path) -> None:
    options.out.write_text("old")
    run_export(replace(options, quantize=False, overwrite=True))
    assert Classifier(tmp_path / "m.onnx").contract.accuracy is not None


def test_an_interruption_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def interrupted(path: Path, _data: bytes) -> None:
        written.append(path)
        path.write_text("half")
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Outputs.named_after(tmp_path / "m.onnx", quantize=True).write({"fp32": b"model", "int8": b"model"}, {})
    assert len(written) == 2 and left_in(tmp_path) == []


def test_the_outputs_are_named_after_the_fp32_file() -> None:
    outputs = Outputs.named_after(Path("runs/best.v2.onnx"), quantize=True)
    assert [path.name for path in outputs.paths] == ["best.v2.onnx", "best.v2.int8.onnx", "best.v2.export.json"]


def test_data_of_other_classes_than_the_checkpoints_is_refused(
    options: ClassifierExportOptions, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    renamed = replace(checkpoint.head(), classes=("glad", *checkpoint.classes[1:]))
    other = replace(checkpoint, heads=(renamed,))
    save_checkpoint(other, tmp_path / "other.pt")
    with pytest.raises(DataError, match="trained on glad, disgust"):
        run_export(replace(options, checkpoint=tmp_path / "other.pt"))
    assert left_in(tmp_path) == ["other.pt"]


def test_a_checkpoint_with_a_strange_mean_is_refused(
    options: ClassifierExportOptions, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    save_checkpoint(replace(checkpoint, mean=127.3), tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"mean 127\.3 is not a whole number"):
        run_export(replace(options, checkpoint=tmp_path / "other.pt", quantize=False, data=None))


def test_quantizing_without_data_is_a_programming_error(options: ClassifierExportOptions) -> None:
    with pytest.raises(ValueError, match="calibrate"):
        replace(options, data=None)
