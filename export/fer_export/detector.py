"""Run a whole export of our face detector: a checkpoint in, two ONNX files and a report out, or nothing at all."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch

from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError
from fer_edge.files import sha256_of
from fer_edge.framing import iou_matrix_xyxy
from fer_edge.network.contract import Contract
from fer_edge.network.session import open_session
from fer_edge.system import machine_info
from fer_export.checks.gates import Gate, enforce, failed_names, folding_gate, fusion_gates
from fer_export.graph.detector import ANSWERS, PICTURES, Pictures, detector_contract, detector_to_onnx
from fer_export.graph.onnx_file import save, with_contract, with_outputs
from fer_export.graph.operators import running_operators, stored_operators
from fer_export.int8.bias_correction import correct_biases
from fer_export.int8.calibration import CALIBRATORS, Range, observe, ranges, values_of
from fer_export.int8.compact import compact
from fer_export.int8.pack_first_conv import packed
from fer_export.int8.quantize import quantize
from fer_export.outputs import Outputs
from fer_export.report import SCHEMA, versions
from fer_train.detection.network import Luma
from fer_train.detection.synthesis.pool import load_pool
from fer_train.detection.trainer import load_detector
from fer_train.networks.normalization import MEAN, STD
from fer_train.tables import aligned

CALIBRATION_SCENES, TUNING_SCENES, TEST_SCENES = 768, 256, 256
TUNING_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)  # the best at one alone is so by chance: few boxes lie near it
PARITY_SHAPES = ((320, 320), (256, 320), (32, 96))
MAX_ANSWER_DELTA = 1e-3  # healthy exports differ by 1e-5 in logits of up to 20, a lost layer by 1 and more
MIN_BOX_AGREEMENT = 0.95
LEAST_LOGIT = -4.6  # a score of 0.01: int8 keeps no steps for what nobody asks for, so those above are finer
FACE_LOGIT = -1.4  # a score of 0.2: what cells below say of boxes is never used
BOX_PERCENTILES = (0.05, 99.95)
SAME_BOX = 0.7  # overlap from which int8's box is fp32's
MAX_INT8_BYTES = 200_000
Say = Callable[[str], None]


@dataclass(frozen=True)
class DetectorExportOptions:
    """What to export: the detector.pt, the pool of scenes that calibrates and measures int8, and the settings."""

    checkpoint: Path
    out: Path
    scenes: Path
    score_threshold: float = 0.5
    overwrite: bool = False
    force: bool = False


@dataclass(frozen=True)
class Attempt:
    """One way to quantise, and the share of fp32's boxes that int8 finds too, and the other way round."""

    calibrator: str
    corrected: bool
    agreement: float

    def __str__(self) -> str:
        return f"{self.calibrator}{' + bias correction' if self.corrected else ''} {self.agreement:.2%}"


def export_detector(options: DetectorExportOptions, say: Say) -> tuple[dict[str, Any], list[Path]]:
    """Write OUT.onnx, OUT.int8.onnx and OUT.export.json; returns the report and the paths written.

    Raises OutputError, ModelError, DataError, and GateError if a bound was not kept: then nothing is written.
    """
    outputs = Outputs.named_after(options.out, True)
    outputs.check(options.overwrite)
    network, trained = load_detector(options.checkpoint)
    contract = detector_contract(sha256_of(options.checkpoint), trained, options.score_threshold)
    scenes = choose_scenes(options.scenes)
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:
        export = DetectorExport(options, say, Path(folder), network, contract, scenes)
        export.convert()
        export.quantize()
        export.compare()
        files = export.stamp()
        report = export.report(trained, {name: (path, outputs.models[name].name) for name, path in files.items()})
        outputs.write(files, report)
    return report, outputs.paths


def choose_scenes(folder: Path) -> tuple[Pictures, Pictures, Pictures]:
    """Scenes to measure on, to choose a calibrator by and to calibrate on: uint8 [N, S, S], none in two of them."""
    scenes, _ = load_pool(folder, torch.device("cpu"))
    ends = np.cumsum([TEST_SCENES, TUNING_SCENES, CALIBRATION_SCENES])
    if len(scenes) < ends[-1]:
        raise DataError(
            f"{folder} holds {len(scenes)} scenes, and {ends[-1]} are needed: make more with fer-train scenes"
        )
    test, tuning, calibration = np.split(scenes[: ends[-1]].numpy(), ends[:-1])
    return test, tuning, calibration


def answer_tensors(model: onnx.ModelProto) -> dict[str, str]:
    """By name of the tensor of logits that of the boxes of its stride: what convolutions to 1 and 4 channels give."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    made: dict[int, dict[str, str]] = {1: {}, 4: {}}  # by channels and what they read
    for node in model.graph.node:
        if node.op_type == "Conv" and shapes[node.input[1]][0] in made:
            made[shapes[node.input[1]][0]][node.input[0]] = node.output[0]
    return {score: made[4][read] for read, score in made[1].items()}


def box_ranges(model: onnx.ModelProto, scenes: Pictures, folder: Path) -> dict[str, Range]:
    """The range of each tensor of boxes over the cells that see a face; without those of which no cell does.

    What the others say is wider: with it in the range, int8's steps would be so coarse that boxes tremble.
    """
    tensors = answer_tensors(model)
    names = [name for pair in tensors.items() for name in pair]
    said: dict[str, list[npt.NDArray[np.float32]]] = {box: [] for box in tensors.values()}
    path = save(with_outputs(model, names), folder / "answers.onnx")
    for name, values in values_of(path, names, scenes, "boxes"):
        if name in tensors:
            sees = values[:, 0] > FACE_LOGIT
        else:
            said[name].append(values.transpose(0, 2, 3, 1)[sees].ravel())
    found = {}
    for name, parts in said.items():
        every = np.concatenate(parts)
        if len(every):
            low, high = np.percentile(every, BOX_PERCENTILES)
            found[name] = (min(float(low), 0.0), max(float(high), 0.0))
    return found


@dataclass
class DetectorExport:
    """One export under way: what it works on, and what its steps have made and found so far."""

    options: DetectorExportOptions
    say: Say
    folder: Path
    network: Luma
    contract: Contract
    scenes: tuple[Pictures, Pictures, Pictures]
    models: dict[str, onnx.ModelProto] = field(default_factory=dict)
    gates: list[Gate] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    operators: dict[str, int] = field(default_factory=dict)

    def check(self, *gates: Gate) -> None:
        """Record the gates; GateError if one failed, unless forced."""
        self.gates += gates
        enforce(gates, self.options.force)

    def convert(self) -> None:
        """Make the fp32 model and compare it with PyTorch."""
        self.say(f"Converting {self.options.checkpoint} to ONNX ...")
        model = self.models["fp32"] = detector_to_onnx(self.network)
        parity = answer_delta(model, self.network, self.scenes[0][:8], self.folder)
        advice = "the exporter or onnxruntime changed the network; use the pinned versions of torch, onnx, onnxruntime"
        self.check(
            folding_gate(stored_operators(model)),
            Gate("parity_max_abs_delta", parity, "at most", MAX_ANSWER_DELTA, advice),
        )

    def quantize(self) -> None:
        """Quantise with each calibrator, then the best with corrected biases; keep the best, made small."""
        _, tuning, calibration = self.scenes
        fp32 = self.models["fp32"]
        self.say(f"Quantising with {len(calibration)} scenes, judged by {len(tuning)} others ...")
        histograms = observe(fp32, calibration, self.folder)
        narrower: dict[str, Range] = dict.fromkeys(answer_tensors(fp32), (LEAST_LOGIT, np.inf))
        narrower |= box_ranges(fp32, calibration, self.folder)
        tried = []
        for name in CALIBRATORS:
            chosen = ranges(histograms, name)
            for tensor, (low, high) in narrower.items():
                chosen[tensor] = (max(chosen[tensor][0], low), min(chosen[tensor][1], high))
            tried.append(self.attempt(name, False, quantize(fp32, chosen, self.folder)))
        best, model = max(tried, key=lambda pair: pair[0].agreement)
        tried.append(self.attempt(best.calibrator, True, correct_biases(model, fp32, calibration, self.folder)))
        self.attempts = [attempt for attempt, _ in tried]
        self.models["int8"] = compact(packed(max(tried, key=lambda pair: pair[0].agreement)[1]))

    def attempt(self, calibrator: str, corrected: bool, model: onnx.ModelProto) -> tuple[Attempt, onnx.ModelProto]:
        """Measure one way to quantise on the tuning scenes."""
        opened = self.opened(self.models["fp32"]), self.opened(model)
        agreed = box_agreement(*opened, self.scenes[1], TUNING_THRESHOLDS)
        made = Attempt(calibrator, corrected, agreed)
        self.say(f"  {made}")
        return made, model

    def opened(self, model: onnx.ModelProto) -> LumaDetector:
        """The detector as the runtime runs it."""
        return LumaDetector(save(with_contract(model, self.contract), self.folder / "opened.onnx"))

    def compare(self) -> None:
        """See that int8 is int8 throughout, small, and finds what fp32 finds."""
        convolutions = stored_operators(self.models["fp32"]).get("Conv", 0)
        file = save(with_contract(self.models["int8"], self.contract), self.folder / "compared.onnx")
        self.operators = running_operators(file)
        opened = self.opened(self.models["fp32"]), LumaDetector(file)
        agreed = box_agreement(*opened, self.scenes[0], (self.options.score_threshold,))
        advice, size = "train longer, or on more scenes", file.stat().st_size
        self.check(
            *fusion_gates(convolutions, self.operators),
            Gate("box_agreement", agreed, "at least", MIN_BOX_AGREEMENT, advice, "int8"),
            Gate("int8_bytes", size, "at most", MAX_INT8_BYTES, "give the network fewer channels", "int8"),
        )

    def stamp(self) -> dict[str, Path]:
        """Both files with their contracts; paths by precision."""
        return {
            name: save(
                with_contract(model, replace(self.contract, failed_gates=failed_names(self.gates, name))),
                self.folder / f"{name}.onnx",
            )
            for name, model in self.models.items()
        }

    def report(self, trained: dict[str, Any], files: dict[str, tuple[Path, str]]) -> dict[str, Any]:
        """The content of export.json; `files`: path and final name by precision."""
        return {
            "schema": SCHEMA,
            "kind": "detector",
            "checkpoint": {
                "file": self.options.checkpoint.name,
                "sha256": self.contract.checkpoint_sha256,
                "training": trained,
            },
            "files": {
                name: {"file": final, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
                for name, (path, final) in files.items()
            },
            "parameters": self.network.num_parameters(),
            "box_agreement": next(gate.value for gate in self.gates if gate.name == "box_agreement"),
            "calibration": {"scenes": len(self.scenes[2]), "attempts": [asdict(one) for one in self.attempts]},
            "operators": self.operators,
            "gates": [gate.to_json() for gate in self.gates],
            "versions": versions(),
            "machine": machine_info(),
        }


def answer_delta(model: onnx.ModelProto, network: Luma, pictures: Pictures, folder: Path) -> float:
    """Largest absolute difference of an answer of `model` to PyTorch's, over uint8 [N, S, S] in a batch and cut."""
    session = open_session(save(model, folder / "parity.onnx"))
    worst = 0.0
    for height, width in PARITY_SHAPES:
        batch = np.ascontiguousarray(pictures[:, None, :height, :width])
        with torch.no_grad():
            expected = network((torch.from_numpy(batch).float() - MEAN) / STD).numpy()
        found = session.run([ANSWERS], {PICTURES: batch})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def box_agreement(
    first: LumaDetector, second: LumaDetector, pictures: Pictures, thresholds: tuple[float, ...]
) -> float:
    """Share of the boxes of either detector that the other has, too, by SAME_BOX or more; 1 if none has any.

    The mean of the shares at several thresholds of the score.
    """
    shared, total = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for picture in pictures:
        found = [detector.search(picture, min(thresholds)) for detector in (first, second)]
        for index, threshold in enumerate(thresholds):
            a, b = (boxes[scores >= threshold] for boxes, scores in found)
            total[index] += len(a) + len(b)
            same = iou_matrix_xyxy(a, b) >= SAME_BOX
            shared[index] += same.any(axis=1).sum() + same.any(axis=0).sum()
    return float(np.divide(shared, total, out=np.ones(len(thresholds)), where=total > 0).mean())


def table(report: dict[str, Any], written: list[Path]) -> str:
    """The report as aligned plain text."""
    rows = [("", "size")] + [(name, f"{entry['bytes'] / 1000:.1f} kB") for name, entry in report["files"].items()]
    gates = [("gate", "value", "bound", "")]
    for gate in report["gates"]:
        verdict = "passed" if gate["passed"] else "FAILED"
        gates.append((gate["name"], f"{gate['value']:.4g}", f"{gate['limit']} {gate['bound']:g}", verdict))
    return "\n".join([*aligned(rows), "", *aligned(gates), "", f"wrote {', '.join(map(str, written))}"])
