import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError, GateError, ModelError, OutputError
from fer_edge.network.session import open_session
from fer_export import cli
from fer_export import detector as detector_export
from fer_export.checks import gates
from fer_export.graph.detector import detector_contract, detector_to_onnx
from fer_export.graph.onnx_file import copied, save, with_contract
from fer_export.int8 import box_ranges
from fer_export.int8.compact import compact
from fer_export.report import Report
from fer_train.detection.network import STRIDES, Luma, cell_grid
from fer_train.detection.synthesis import pool
from fer_train.detection.synthesis.scenes import MAX_FACES, SCENE_PX
from fer_train.detection.trainer import save_detector
from tests.schemas import check


@pytest.fixture(scope="module")
def network() -> Luma:
    """An untrained network with some detections, so that agreement can be measured."""
    torch.manual_seed(0)
    network = Luma().eval()
    for layer in network.modules():  # as training leaves them: a bias of 0 would be dropped from the graph
        if isinstance(layer, torch.nn.BatchNorm2d) or (isinstance(layer, torch.nn.Conv2d) and layer.bias is not None):
            torch.nn.init.normal_(layer.bias, std=0.1)
    torch.nn.init.normal_(network.score.weight, std=2.0)
    torch.nn.init.constant_(network.score.bias, -2.0)  # type: ignore[arg-type]
    return network


@pytest.fixture(scope="module")
def graph(network: Luma) -> onnx.ModelProto:
    return detector_to_onnx(network)


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small pool of blotches, and an export that needs no more scenes."""
    for name, count in (("CALIBRATION_SCENES", 4), ("TUNING_SCENES", 2), ("TEST_SCENES", 8)):
        monkeypatch.setattr(detector_export, name, count)
    monkeypatch.setattr(pool, "SHARD_SIZE", 14)
    folder = tmp_path / "pool"
    folder.mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (14, 20, 20), dtype=np.uint8)
    np.save(folder / "scenes_000.npy", coarse.repeat(SCENE_PX // 20, axis=1).repeat(SCENE_PX // 20, axis=2))
    np.save(folder / "faces_000.npy", np.zeros((14, MAX_FACES, 5), np.float32))
    return folder


@pytest.fixture
def checkpoint(network: Luma, tmp_path: Path) -> Path:
    save_detector(network, tmp_path / "detector.pt", {"step": 1})
    return tmp_path / "detector.pt"


def options(checkpoint: Path, scenes: Path, **others: Any) -> detector_export.DetectorExportOptions:
    return detector_export.DetectorExportOptions(
        checkpoint=checkpoint, out=checkpoint.parent / "d.onnx", scenes=scenes, **others
    )


@pytest.fixture
def ready_graph(graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an export take the converted network from the fixture, which saves seconds."""
    monkeypatch.setattr(detector_export, "detector_to_onnx", lambda _network: copied(graph))


def run_export(options: detector_export.DetectorExportOptions) -> tuple[Report, list[Path]]:
    return detector_export.DetectorExport(options, lambda _line: None).run()


def test_the_graph_takes_any_batch_and_any_multiple_of_32(
    graph: onnx.ModelProto, network: Luma, tmp_path: Path
) -> None:
    session = open_session(save(graph, tmp_path / "d.onnx"))
    for shape in ((1, 1, 32, 32), (3, 1, 64, 160), (2, 1, 256, 320)):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        (answers,) = session.run(None, {"pictures": images})
        with torch.no_grad():
            expected = network((torch.from_numpy(images).float() - 128) / 64).numpy()
        assert answers.shape == (shape[0], 5, len(cell_grid(*shape[2:])))
        assert np.abs(answers - expected).max() < 1e-3


def test_equal_networks_give_equal_bytes_and_no_path_of_this_machine(graph: onnx.ModelProto, network: Luma) -> None:
    again = detector_to_onnx(network).SerializeToString(deterministic=True)
    assert again == graph.SerializeToString(deterministic=True)
    assert b"fer_train" not in again


def test_a_compact_file_gives_the_same_outputs(graph: onnx.ModelProto, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, 1, 64, 64), dtype=np.uint8)
    small = compact(graph)
    first, second = (
        open_session(save(model, tmp_path / name)).run(None, {"pictures": images})[0]
        for name, model in (("a.onnx", graph), ("b.onnx", small))
    )
    assert (first == second).all()
    assert small.ByteSize() < graph.ByteSize()
    assert [item.name for item in small.graph.input] == ["pictures"]


def test_the_runtime_runs_it_on_an_image_of_any_size(graph: onnx.ModelProto, tmp_path: Path) -> None:
    contract = detector_contract("0" * 64, {}, 0.5)
    detector = LumaDetector(save(with_contract(graph, contract), tmp_path / "d.onnx"), min_face_px=1)
    for shape in ((1, 1), (33, 70), (240, 320), (50, 2000, 3)):
        for found in detector.detect(np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)):
            assert np.isfinite(found.box).all()
            assert 0.5 <= found.score <= 1


@pytest.mark.usefixtures("ready_graph")
def test_an_export_writes_both_precisions_and_what_was_measured(checkpoint: Path, scenes: Path) -> None:
    report, written = run_export(options(checkpoint, scenes, force=True))
    assert [path.name for path in written] == ["d.onnx", "d.int8.onnx", "d.export.json"]
    check(json.loads(written[2].read_text()), "export")
    checked = {gate["name"]: gate for gate in report.to_json()["gates"]}
    assert checked["int8_convolutions"]["value"] == 25
    assert checked["float_convolutions"]["value"] == 0
    assert checked["int8_bytes"]["value"] <= 200_000
    assert checked["parity_max_abs_delta"]["passed"]
    for path in written[:2]:
        assert LumaDetector(path).contract.dataset == ""


@pytest.mark.usefixtures("ready_graph")
def test_int8_spends_its_steps_on_scores_that_matter(
    checkpoint: Path, scenes: Path, graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_ranges, "MIN_LOGIT", -2.0)
    assert len(box_ranges.output_tensors(graph)) == len(STRIDES)
    _, written = run_export(options(checkpoint, scenes, force=True))
    lowest = []
    for path in written[:2]:
        session = open_session(path, 1)
        image = np.random.default_rng(0).integers(0, 256, (1, 1, 320, 320), dtype=np.uint8)
        lowest.append(float(session.run(None, {session.get_inputs()[0].name: image})[0][0, 0].min()))
    fp32, int8 = lowest
    assert fp32 < -2.5
    assert int8 == pytest.approx(-2.0, abs=0.1)


@pytest.mark.usefixtures("ready_graph")
def test_a_failed_gate_writes_nothing(checkpoint: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "MAX_OUTPUT_DELTA", -1.0)
    with pytest.raises(GateError, match="parity"):
        run_export(options(checkpoint, scenes))
    assert not list(checkpoint.parent.glob("*.onnx"))


@pytest.mark.usefixtures("ready_graph")
def test_a_forced_export_reports_the_failed_gate_and_marks_both_files(
    checkpoint: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "MAX_OUTPUT_DELTA", -1.0)
    lines: list[str] = []
    _, written = detector_export.DetectorExport(options(checkpoint, scenes, force=True), lines.append).run()
    assert any(line.startswith("gate failed, but --force was given: parity_max_abs_delta") for line in lines)
    for path in written[:2]:
        assert "parity_max_abs_delta" in LumaDetector(path).contract.failed_gates


def test_an_interruption_inside_torchs_exporter_is_still_one(network: Luma, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("Failed to export the model") from KeyboardInterrupt()

    monkeypatch.setattr(torch.onnx, "export", interrupted)
    with pytest.raises(KeyboardInterrupt):
        detector_to_onnx(network)


def test_what_can_not_be_exported_is_refused(checkpoint: Path, scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "d.onnx").write_text("kept")
    with pytest.raises(OutputError, match="--overwrite"):
        run_export(options(checkpoint, scenes))
    (tmp_path / "d.onnx").unlink()
    with pytest.raises(ModelError, match=r"detector\.pt"):
        run_export(options(tmp_path / "missing.pt", scenes))
    with pytest.raises(DataError, match="fer-train scenes"):
        run_export(options(checkpoint, tmp_path))


def test_the_command_needs_a_name_that_ends_in_onnx(checkpoint: Path, scenes: Path) -> None:
    ran = CliRunner().invoke(cli.export, ["detector", str(checkpoint), "--scenes", str(scenes), "--out", "d.bin"])
    assert ran.exit_code == 2
    assert "must end in .onnx" in ran.output
