"""Export an emotion classifier: a checkpoint in, one or two ONNX files and a report out, or nothing at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from fer_edge.errors import DataError
from fer_edge.files import sha256_of
from fer_edge.network.classifier import Classifier
from fer_export.checks.gates import (
    MIN_IMAGES_FOR_ACCURACY_DROP,
    Gate,
    accuracy_gates,
    agreement_gate,
    consistency_gates,
    parity_gates,
)
from fer_export.checks.measure import agreement, measure_latency, predict
from fer_export.checks.parity import Consistency, Faces, measure_consistency, measure_parity, probe_faces
from fer_export.graph.classifier import classifier_contract, classifier_to_onnx, usable_network
from fer_export.graph.onnx_file import to_bytes
from fer_export.int8.calibrator_search import MIN_TUNING_IMAGES, search_for_classifier
from fer_export.int8.faces import TUNING_IMAGES, choose_faces
from fer_export.int8.pack_first_conv import pack_first_conv
from fer_export.int8.settings import AUTO, MIN_CALIBRATION_IMAGES
from fer_export.int8.temperature import MIN_IMAGES, TemperatureFit, refit_temperature, with_temperature
from fer_export.job import ExportJob, JobOptions, Log
from fer_export.report import Calibration, Report, WrittenFile, accuracy_fields, classifier_rows, latency_advice
from fer_train.data import PUBLIC_TEST, FaceData, align_classes, load_faces
from fer_train.evaluation.scoring import Accuracy, measure_accuracy
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True, kw_only=True)
class ClassifierExportOptions(JobOptions):
    """The settings of a classifier's export.

    quantize: make int8, too. data: whose Training rows calibrate and whose PublicTest rows measure; quantizing needs
    it. calibration_images: how many Training faces the int8 ranges are measured on. calibrator: one of
    int8.settings.CALIBRATORS, or AUTO. seed: of every random choice. min_confidence: for the contract, below it a face
    is unsure. skip_bad: leave out rows that can't be read.
    """

    quantize: bool = False
    data: Path | None = None
    calibration_images: int = MIN_CALIBRATION_IMAGES
    calibrator: str = AUTO
    seed: int = 0
    min_confidence: float = 0.0
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.quantize and self.data is None:
            raise ValueError("quantizing needs data to calibrate on")


def load_data(path: Path, checkpoint: Checkpoint, skip_bad: bool, log: Log) -> FaceData:
    """The faces in `path` with the checkpoint's classes, mapped as for its training.

    Raises DataError if a class has no place in the mapping, or the faces are not of the checkpoint's size.
    """
    log(f"Reading {path} ...")
    data = load_faces(path, skip_bad=skip_bad)
    for note in data.notes:
        log(f"note: {note}")
    data = align_classes(data, checkpoint.classes, checkpoint.class_mapping, "the checkpoint")
    if data.images.shape[1] != checkpoint.input_size:
        sizes = f"{data.images.shape[1]} pixels wide, but the checkpoint takes {checkpoint.input_size}"
        raise DataError(f"{path} has faces {sizes}: give the data it was trained on")
    return data


class ClassifierExport(ExportJob):
    """The export of a checkpoint of fer-train."""

    def __init__(self, options: ClassifierExportOptions, log: Log) -> None:
        super().__init__(options, log, options.quantize)
        self.options = options
        self.checkpoint = load_checkpoint(options.checkpoint)
        self.network = usable_network(self.checkpoint, options.checkpoint.name)
        self.data = None if options.data is None else load_data(options.data, self.checkpoint, options.skip_bad, log)
        contract = classifier_contract(self.checkpoint, sha256_of(options.checkpoint), options.min_confidence)
        self.contracts = dict.fromkeys(self.outputs.models, contract)
        self.calibration: Calibration | None = None
        self.temperature: TemperatureFit | None = None
        self.consistency: Consistency | None = None
        self.accuracy: dict[str, Accuracy] = {}
        self.agreement: float | None = None
        self.notes: list[str] = []

    def trace(self) -> onnx.ModelProto:
        return classifier_to_onnx(self.network, self.checkpoint)

    def fp32_gates(self) -> list[Gate]:
        model, temperature = self.models["fp32"], self.checkpoint.temperature
        self.parity = measure_parity(model, self.network, temperature, self._probes())
        return parity_gates(self.parity)

    def _probes(self) -> Faces:
        """Faces to compare outputs on."""
        real = None if self.data is None else self.data.split(PUBLIC_TEST).images
        return probe_faces(self.options.seed, self.checkpoint.input_size, real)

    def quantize(self) -> onnx.ModelProto:
        """The int8 graph with the best calibrator, calibrated on Training faces."""
        assert self.data is not None  # ClassifierExportOptions has checked it
        options = self.options
        faces, tuning, mirrored = choose_faces(self.data, options.calibration_images, TUNING_IMAGES, options.seed)
        self.log(f"Quantizing on {len(faces)} training faces, measuring on {len(tuning)} others ...")
        if mirrored:
            self.notes.append(
                f"calibrated on {len(faces) // 2} training faces and their mirror images: {MIN_CALIBRATION_IMAGES} and "
                "more give steadier ranges"
            )
        fp32 = self.models["fp32"]
        found = search_for_classifier(fp32, faces.images, tuning.images, options.calibrator, self.log)
        if found.chosen.agreement is None:
            self.notes.append(
                f"calibrator not chosen by agreement and biases not corrected: {len(tuning)} training faces are left "
                f"for that, and {MIN_TUNING_IMAGES} are needed"
            )
        self.calibration = Calibration(
            len(faces), faces.counts(), options.seed, len(tuning), found.chosen, found.candidates
        )
        return pack_first_conv(found.model)

    def measure(self) -> None:
        """Fit int8's temperature, then compare int8 with fp32, score every model on the test faces, and time them."""
        if "int8" in self.models:
            assert self.data is not None
            self._refit_temperature(self.data.split(PUBLIC_TEST))
            self.consistency = measure_consistency(self.models["int8"], self._probes())
            self.check(*consistency_gates(self.consistency))
        classifiers = {name: Classifier(to_bytes(model)) for name, model in self.stamped().items()}
        if self.data is None:
            self.notes.append("accuracy not measured: no --calibration-data was given")
        else:
            self._score(classifiers, self.data)
        self.log("Timing ...")
        face = probe_faces(self.options.seed, self.checkpoint.input_size)[-1]
        self.latency = measure_latency(classifiers, face)

    def _refit_temperature(self, test: FaceData) -> None:
        """Give int8 its own temperature, fitted on the split on which fer-train fitted the checkpoint's."""
        if len(test) < MIN_IMAGES:
            self.notes.append(f"temperature not refitted for int8: {len(test)} test faces, and {MIN_IMAGES} are needed")
            return
        fit = refit_temperature(self.models["int8"], self.checkpoint.temperature, test, PUBLIC_TEST)
        self.temperature = fit
        self.models["int8"] = with_temperature(self.models["int8"], fit.after)
        self.contracts["int8"] = replace(self.contracts["int8"], temperature=fit.after)

    def _score(self, classifiers: Mapping[str, Classifier], data: FaceData) -> None:
        test = data.split(PUBLIC_TEST)
        self.log(f"Measuring on {len(test)} test faces ...")
        rows = {name: predict(classifier, test, name) for name, classifier in classifiers.items()}
        self.accuracy = {name: measure_accuracy(found, data, PUBLIC_TEST) for name, found in rows.items()}
        for name, measured in self.accuracy.items():
            self.contracts[name] = replace(self.contracts[name], accuracy=_for_contract(measured))
        if "int8" not in rows:
            return
        self.agreement = agreement(rows["fp32"], rows["int8"])
        self.check(
            agreement_gate(self.agreement, len(test)), *accuracy_gates(self.accuracy["fp32"], self.accuracy["int8"])
        )
        if len(test) < MIN_IMAGES_FOR_ACCURACY_DROP:
            self.notes.append(
                f"accuracy drop not checked: {len(test)} test faces are too few to measure it "
                f"({MIN_IMAGES_FOR_ACCURACY_DROP} are needed)"
            )

    def report(self, written: Mapping[str, WrittenFile]) -> Report:
        file, sha256 = self.options.checkpoint.name, self.contracts["fp32"].checkpoint_sha256
        made = [str(part) for part in (self.calibration, self.temperature) if part]
        return Report(
            checkpoint={"file": file, "sha256": sha256, "model": self.checkpoint.model},
            files=written,
            gates=self.gates,
            measured=self._measured(),
            rows=classifier_rows(written, self.accuracy, self.agreement, self.latency),
            lines=[line for line in (*made, latency_advice(self.latency), *self.notes) if line],
        )

    def _measured(self) -> dict[str, Any]:
        consistency, ratio = self.consistency, self.latency.ratio
        return {
            "parity": self.parity.to_json(),
            "agreement": self.agreement,
            "accuracy": accuracy_fields(self.accuracy),
            "calibration": self.calibration and asdict(self.calibration),
            "int8_consistency": consistency and consistency.to_json(),
            "temperature": self.temperature and asdict(self.temperature),
            "latency_ms": {name: asdict(spread) for name, spread in self.latency.milliseconds.items()},
            "latency_ratio": ratio and asdict(ratio),
            "fused_operators": {"convolutions": self.convolutions, **self.operators},
            "notes": self.notes,
        }


def _for_contract(accuracy: Accuracy) -> dict[str, object]:
    images, fraction = accuracy.metrics["images"], accuracy.metrics["accuracy"]
    return {"split": accuracy.split, "images": images, "accuracy": round(fraction, 6)}
