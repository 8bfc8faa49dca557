"""Export the face detector: a checkpoint in, two ONNX files and a report out, or nothing at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError
from fer_edge.files import sha256_of
from fer_export.checks.boxes import box_agreement, output_delta
from fer_export.checks.gates import Gate, box_gates, output_gate
from fer_export.graph.detector import Images, detector_contract, detector_to_onnx
from fer_export.graph.onnx_file import to_bytes, with_contract
from fer_export.int8.box_ranges import output_limits
from fer_export.int8.calibrator_search import Candidate, search
from fer_export.int8.compact import compact
from fer_export.int8.pack_first_conv import pack_first_conv
from fer_export.int8.settings import CALIBRATORS
from fer_export.job import ExportJob, JobOptions, Log
from fer_export.report import Report, WrittenFile
from fer_train.detection.synthesis.pool import load_pool
from fer_train.detection.trainer import load_detector

CALIBRATION_SCENES, TUNING_SCENES, TEST_SCENES = 768, 256, 256
TUNING_THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8)  # few boxes lie near a single one: chance would choose
PARITY_SCENES = 8


@dataclass(frozen=True, kw_only=True)
class DetectorExportOptions(JobOptions):
    """The settings of a detector's export.

    scenes: the folder of fer-train scenes that calibrates and measures int8. score_threshold: score, 0 to 1, from
    which a detection is a face.
    """

    scenes: Path
    score_threshold: float = 0.5


@dataclass(frozen=True)
class Scenes:
    """Scenes, uint8 [N, S, S], to measure on, to choose a calibrator on and to calibrate on; none is in two of them."""

    test: Images
    tuning: Images
    calibration: Images


def load_scenes(folder: Path) -> Scenes:
    """The first scenes of a pool of `fer-train scenes`; DataError if there are too few."""
    scenes, _ = load_pool(folder, torch.device("cpu"))
    ends = np.cumsum([TEST_SCENES, TUNING_SCENES, CALIBRATION_SCENES])
    if len(scenes) < ends[-1]:
        raise DataError(
            f"{folder} holds {len(scenes)} scenes, and {ends[-1]} are needed: make more with fer-train scenes"
        )
    return Scenes(*np.split(scenes[: ends[-1]].numpy(), ends[:-1]))


class DetectorExport(ExportJob):
    """The export of a checkpoint of `fer-train detector`."""

    def __init__(self, options: DetectorExportOptions, log: Log) -> None:
        super().__init__(options, log, quantize=True)
        self.options = options
        self.network, self.trained = load_detector(options.checkpoint)
        self.contract = detector_contract(sha256_of(options.checkpoint), self.trained, options.score_threshold)
        self.contracts = dict.fromkeys(self.outputs.models, self.contract)
        self.scenes = load_scenes(options.scenes)
        self.candidates: Sequence[Candidate] = ()
        self.agreement = 0.0

    def trace(self) -> onnx.ModelProto:
        return detector_to_onnx(self.network)

    def fp32_gates(self) -> list[Gate]:
        return [output_gate(output_delta(self.models["fp32"], self.network, self.scenes.test[:PARITY_SCENES]))]

    def quantize(self) -> onnx.ModelProto:
        """The int8 graph with the best calibrator, made fast and small."""
        fp32, images, tuning = self.models["fp32"], self.scenes.calibration, self.scenes.tuning
        self.log(f"Quantizing on {len(images)} scenes, measuring on {len(tuning)} others ...")
        expected = self._open(fp32)

        def judge(model: onnx.ModelProto) -> tuple[float, float]:
            return box_agreement(expected, self._open(model), tuning, TUNING_THRESHOLDS), 0.0

        found = search(fp32, images, CALIBRATORS, judge, self.log, output_limits(fp32, images))
        self.candidates = found.candidates
        return compact(pack_first_conv(found.model))

    def _open(self, model: onnx.ModelProto) -> LumaDetector:
        """The detector as the runtime runs it."""
        return LumaDetector(to_bytes(with_contract(model, self.contract)))

    def measure(self) -> None:
        """Compare int8's boxes with fp32's, and see that its file is small."""
        detectors = self._open(self.models["fp32"]), self._open(self.models["int8"])
        self.agreement = box_agreement(*detectors, self.scenes.test, (self.options.score_threshold,))
        size_bytes = len(to_bytes(with_contract(self.models["int8"], self.contract)))
        self.check(*box_gates(self.agreement, size_bytes))

    def report(self, written: Mapping[str, WrittenFile]) -> Report:
        file, sha256 = self.options.checkpoint.name, self.contract.checkpoint_sha256
        attempts = [
            {"calibrator": one.calibrator, "corrected": one.corrected, "agreement": one.agreement}
            for one in self.candidates
        ]
        return Report(
            checkpoint={"file": file, "sha256": sha256, "training": self.trained},
            files=written,
            gates=self.gates,
            measured={
                "kind": "detector",
                "parameters": self.network.num_parameters(),
                "box_agreement": self.agreement,
                "calibration": {"scenes": len(self.scenes.calibration), "attempts": attempts},
                "operators": self.operators["int8"],
            },
            rows=[("", "size"), *((name, f"{file.bytes / 1000:.1f} kB") for name, file in written.items())],
        )
