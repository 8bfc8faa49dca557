"""Export an emotion classifier: a checkpoint in, one or two ONNX files and a report out, or nothing at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import onnx

from fer_edge.errors import DataError
from fer_edge.files import sha256_of
from fer_edge.network.classifier import Classifier
from fer_edge.sentences import counted
from fer_export.checks.gates import (
    MIN_IMAGES_FOR_ACCURACY_DROP,
    Gate,
    accuracy_gates,
    agreement_gate,
    consistency_gates,
    parity_gates,
)
from fer_export.checks.measure import agreement, measure_latency, predict
from fer_export.checks.parity import Faces, measure_consistency, measure_parity, probe_faces
from fer_export.checks.truths import find_truths
from fer_export.graph.classifier import classifier_contract, classifier_to_onnx
from fer_export.graph.onnx_file import to_bytes
from fer_export.head_figures import HeadFigures, head_figures
from fer_export.int8.calibrator_search import MIN_TUNING_IMAGES, search_for_classifier
from fer_export.int8.faces import TUNING_IMAGES, choose_faces
from fer_export.int8.pack_first_conv import pack_first_conv
from fer_export.int8.settings import AUTO, MIN_CALIBRATION_IMAGES
from fer_export.int8.temperature import MIN_IMAGES, refit_temperature, with_temperature
from fer_export.job import ExportJob, JobOptions, Log
from fer_export.report import Calibration, Report, WrittenFile, classifier_rows, latency_advice
from fer_train.commands.head_options import load_people
from fer_train.data import PUBLIC_TEST, FaceData, load_faces
from fer_train.evaluation.predictors import onnx_probabilities
from fer_train.evaluation.scoring import measure_accuracy
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.photos import Crop


@dataclass(frozen=True, kw_only=True)
class ClassifierExportOptions(JobOptions):
    """The settings of a classifier's export.

    quantize: make int8, too. data: whose Training rows calibrate and whose PublicTest rows measure; quantizing needs
    it. calibration_images: how many Training faces the int8 ranges are measured on. calibrator: one of
    int8.settings.CALIBRATORS, or AUTO. seed: of every random choice. min_confidence: for the contract, by head, below
    it a face is unsure; "" for all others. skip_bad: leave out rows that can't be read. heads: which of the
    checkpoint's to keep, in this order; () keeps all. ferplus: FER+'s votes for the faces of `data`, the truth of heads
    that were trained on votes. people: faces whose test part is a second truth of the head `people`.
    crop: how photographs are cut, as in training.
    """

    quantize: bool = False
    data: Path | None = None
    calibration_images: int = MIN_CALIBRATION_IMAGES
    calibrator: str = AUTO
    seed: int = 0
    min_confidence: Mapping[str, float] = field(default_factory=dict)
    skip_bad: bool = False
    crop: Crop = "auto"
    heads: tuple[str, ...] = ()
    ferplus: Path | None = None
    people: Path | None = None

    def __post_init__(self) -> None:
        if self.quantize and self.data is None:
            raise ValueError("quantizing needs data to calibrate on")


def load_data(
    path: Path, checkpoint: Checkpoint, skip_bad: bool, log: Log, ferplus: Path | None = None, crop: Crop = "auto"
) -> FaceData:
    """The faces in `path`; DataError if they are not of the checkpoint's size."""
    log(f"Reading {path} ...")
    try:
        data = load_faces(path, ferplus, skip_bad=skip_bad, crop=crop)
    except DataError as error:
        raise DataError(str(error).replace("--data names", "--calibration-data names")) from error
    for note in data.notes:
        log(f"note: {note}")
    if data.images.shape[1] != checkpoint.input_size:
        sizes = f"{data.images.shape[1]} pixels wide, but the checkpoint takes {checkpoint.input_size}"
        raise DataError(f"{path} has faces {sizes}: give the data it was trained on")
    return data


class ClassifierExport(ExportJob):
    """The export of a checkpoint of fer-train."""

    def __init__(self, options: ClassifierExportOptions, log: Log) -> None:
        super().__init__(options, log, options.quantize)
        self.options = options
        checkpoint = load_checkpoint(options.checkpoint)
        self.checkpoint = checkpoint.only(options.heads) if options.heads else checkpoint
        for name in options.min_confidence:
            self.checkpoint.head(name or None)
        self.network = self.checkpoint.network()
        self.heads = head_figures(self.checkpoint, names_heads := bool(options.heads))
        self.notes: list[str] = []
        self.data = None if options.data is None else self._load(options.data)
        contract = classifier_contract(
            self.checkpoint, sha256_of(options.checkpoint), options.min_confidence, names_heads=names_heads
        )
        self.contracts = dict.fromkeys(self.outputs.models, contract)
        self.calibration: Calibration | None = None

    def _load(self, path: Path) -> FaceData:
        """The faces that calibrate: with the classes of the first head whose truth are labels, if there is any."""
        options = self.options
        data = load_data(path, self.checkpoint, options.skip_bad, self.log, options.ferplus, options.crop)
        given = options.people
        people = None if given is None else load_people(given, options.skip_bad, options.crop)
        truths, notes = find_truths(data, self.checkpoint, people)
        self.notes += notes
        for head in self.heads:
            head.truth = truths.get(head.head.name)
        aligned = [truth.data for truth in truths.values() if not truth.data.relabeled]
        return aligned[0] if aligned else data

    def trace(self) -> onnx.ModelProto:
        return classifier_to_onnx(self.network, self.checkpoint)

    def fp32_gates(self) -> list[Gate]:
        model, probes, gates = self.models["fp32"], self._probes(), []
        for head in self.heads:
            temperature = head.head.temperature
            head.parity = measure_parity(model, self.network, temperature, probes, head.output, head.columns)
            gates += parity_gates(head.parity, head.name)
        return gates

    def _probes(self) -> Faces:
        """Faces to compare outputs on."""
        real = None if self.data is None else self.data.split(PUBLIC_TEST).images
        return probe_faces(self.options.seed, self.checkpoint.input_size, real)

    def quantize(self) -> onnx.ModelProto:
        """The int8 graph with the best calibrator, calibrated on Training faces."""
        assert self.data is not None  # ClassifierExportOptions has checked it
        options = self.options
        faces, tuning, mirrored = choose_faces(self.data, options.calibration_images, TUNING_IMAGES, options.seed)
        self.log(f"Quantizing on {counted(len(faces), 'training face')}, measuring on {len(tuning)} others ...")
        if mirrored:
            self.notes.append(
                f"calibrated on {len(faces) // 2} training faces and their mirror images: {MIN_CALIBRATION_IMAGES} and "
                "more give steadier ranges"
            )
        fp32, outputs = self.models["fp32"], [head.output for head in self.heads]
        found = search_for_classifier(fp32, faces.images, tuning.images, options.calibrator, self.log, outputs)
        if found.chosen.agreement is None:
            self.notes.append(
                f"calibrator not chosen by agreement and biases not corrected: {counted(len(tuning), 'training face')} "
                f"left for that, and {MIN_TUNING_IMAGES} are needed"
            )
        self.calibration = Calibration(
            len(faces), faces.counts(), options.seed, len(tuning), found.chosen, found.candidates
        )
        return pack_first_conv(found.model)

    def measure(self) -> None:
        """Fit int8's temperature, then compare int8 with fp32, score every model on the test faces, and time them."""
        if "int8" in self.models:
            for head in self.heads:
                self._refit_temperature(head)
                head.consistency = measure_consistency(self.models["int8"], self._probes(), head.output)
                self.check(*consistency_gates(head.consistency, head.name))
        stamped = {name: to_bytes(model) for name, model in self.stamped().items()}
        if self.data is None:
            self.notes.append("accuracy not measured: no --calibration-data was given")
        else:
            images = self.data.split(PUBLIC_TEST).images
            self.log(f"Measuring on {counted(len(images), 'test face')} ...")
            for head in self.heads:
                self._score(head, {name: Classifier(data, head=head.name) for name, data in stamped.items()}, images)
        self.log("Timing ...")
        face = probe_faces(self.options.seed, self.checkpoint.input_size)[-1]
        self.latency = measure_latency({name: Classifier(data) for name, data in stamped.items()}, face)

    def _refit_temperature(self, head: HeadFigures) -> None:
        """Give int8 its own temperature, fitted on the head's truth."""
        if head.truth is None:
            return
        test = head.truth.data.split(PUBLIC_TEST)
        if len(test) < MIN_IMAGES:
            few = f"temperature not refitted for int8: {counted(len(test), 'test face')}, and {MIN_IMAGES} are needed"
            self.notes.append(head.told(few))
            return
        before, weights = head.head.temperature, head.truth.weights
        fit = refit_temperature(self.models["int8"], before, test, PUBLIC_TEST, head.output, weights)
        head.temperature = fit
        self.models["int8"] = with_temperature(self.models["int8"], fit.after, head.output)
        self.contracts["int8"] = head.change(self.contracts["int8"], temperature=fit.after)

    def _score(self, head: HeadFigures, classifiers: Mapping[str, Classifier], images: Faces) -> None:
        """Compare the head's int8 and fp32 answers for all test `images`, and score both against its truth."""
        if "int8" in classifiers:
            found = [onnx_probabilities(classifiers[name], images, name) for name in ("fp32", "int8")]
            head.agreement = agreement(*found)
            self.check(agreement_gate(head.agreement, len(images), head.name))
        if head.truth is None:
            return
        test = head.truth.data.split(PUBLIC_TEST)
        for name, classifier in classifiers.items():
            probabilities = predict(classifier, test, name)
            measured = measure_accuracy(probabilities, head.truth.data, PUBLIC_TEST)
            temperature = head.temperature.after if name == "int8" and head.temperature else head.head.temperature
            head.scores[name] = head.truth.scores(probabilities, temperature)
            head.accuracy[name] = measured
            self.contracts[name] = head.with_accuracy(self.contracts[name], measured)
        if "int8" in classifiers:
            self.check(*accuracy_gates(head.accuracy["fp32"], head.accuracy["int8"], head.name))
            if len(test) < MIN_IMAGES_FOR_ACCURACY_DROP:
                few = f"accuracy drop not checked: {counted(len(test), 'test face')}, too few to measure it"
                self.notes.append(head.told(f"{few} ({MIN_IMAGES_FOR_ACCURACY_DROP} are needed)"))

    def report(self, written: Mapping[str, WrittenFile]) -> Report:
        file, sha256 = self.options.checkpoint.name, self.contracts["fp32"].checkpoint_sha256
        fits = [head.told(head.temperature) for head in self.heads if head.temperature]
        made = [*([str(self.calibration)] if self.calibration else []), *fits]
        return Report(
            checkpoint={"file": file, "sha256": sha256, "model": self.checkpoint.model},
            files=written,
            gates=self.gates,
            measured=self._measured(),
            rows=classifier_rows(
                written, {head.head.name: (head.accuracy, head.agreement) for head in self.heads}, self.latency
            ),
            lines=[line for line in (*made, latency_advice(self.latency), *self.notes) if line],
        )

    def _measured(self) -> dict[str, Any]:
        first, ratio = self.heads[0].to_json(), self.latency.ratio
        named = {"heads": [head.to_json() for head in self.heads]} if self.heads[0].name is not None else {}
        return {
            "parity": first["parity"],
            "agreement": first["agreement"],
            "accuracy": first["accuracy"],
            "calibration": self.calibration and asdict(self.calibration),
            "int8_consistency": first["int8_consistency"],
            "temperature": first["temperature"],
            "latency_ms": {name: asdict(spread) for name, spread in self.latency.milliseconds.items()},
            "latency_ratio": ratio and asdict(ratio),
            "fused_operators": {"convolutions": self.convolutions, **self.operators},
            "notes": self.notes,
            **named,
        }
