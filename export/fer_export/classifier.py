"""Run a whole export: a checkpoint in, two ONNX files and a report out, or nothing at all."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from fer_edge.errors import DataError
from fer_edge.files import sha256_of
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import Contract
from fer_export.checks.gates import (
    MIN_IMAGES_FOR_ACCURACY_DROP,
    Gate,
    accuracy_gates,
    agreement_gate,
    consistency_gates,
    enforce,
    failed_names,
    folding_gate,
    fusion_gates,
    parity_gates,
)
from fer_export.checks.measure import Latency, agreement, measure_latency, predict
from fer_export.checks.parity import Faces, Parity, Runs, measure_parity, probe_faces, run_in_batches
from fer_export.graph.classifier import to_onnx, usable_network
from fer_export.graph.onnx_file import contract_of, save, with_contract
from fer_export.graph.operators import running_operators, stored_operators
from fer_export.int8.calibrator_search import AUTO, MIN_TUNING_IMAGES, tune
from fer_export.int8.pack_first_conv import packed
from fer_export.int8.quantize import DEFAULT_TUNING_IMAGES, choose_faces
from fer_export.int8.temperature import MIN_IMAGES, Refit, refit, with_temperature
from fer_export.outputs import Outputs
from fer_export.report import Calibration, Report, WrittenFile
from fer_train.data import PUBLIC_TEST, FaceData, align_classes, load_faces
from fer_train.evaluation.scoring import Accuracy, measure_accuracy
from fer_train.networks import Network
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint

Say = Callable[[str], None]
"""Takes a line that tells the user what is being done."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export and how.

    data: a FER2013 CSV, whose Training rows calibrate and whose PublicTest rows measure; needed to quantise.
    calibration_images: how many Training faces the int8 ranges are taken from. calibrator: how, or "auto".
    seed: of every random choice. force: write even if a gate fails. skip_bad: do without rows that can't be read.
    """

    checkpoint: Path
    out: Path
    quantize: bool
    data: Path | None
    calibration_images: int
    calibrator: str = AUTO
    seed: int = 0
    overwrite: bool = False
    force: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.quantize and self.data is None:
            raise ValueError("quantizing needs data to calibrate on")


def run_export(options: ExportOptions, say: Say) -> tuple[Report, list[Path]]:
    """Export, measure, and write the files; returns the report and the paths written.

    Raises OutputError before any work if an output can't be written, ModelError for a bad checkpoint,
    DataError for bad data, and GateError if a bound was not kept; then nothing has been written.
    """
    outputs = Outputs.named_after(options.out, options.quantize)
    outputs.check(options.overwrite)
    checkpoint = load_checkpoint(options.checkpoint)
    network = usable_network(checkpoint, options.checkpoint.name)
    data = None if options.data is None else load_data(options.data, checkpoint, options.skip_bad, say)
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:
        export = Export(options, say, Path(folder), checkpoint, network, data)
        parity = export.convert()
        calibration = export.quantize() if options.quantize else None
        accuracy, agreed = export.measure()
        latency = export.time()
        files = export.stamp(export.final_contracts(accuracy))
        report = Report(
            checkpoint={"file": options.checkpoint.name, "sha256": export.checkpoint_sha256, "model": checkpoint.model},
            files={name: _written_file(path, outputs.models[name].name) for name, path in files.items()},
            parity=parity,
            operators=export.operators,
            convolutions=export.convolutions,
            latency=latency,
            gates=export.gates,
            accuracy=accuracy,
            agreement=agreed,
            calibration=calibration,
            consistency=export.consistency,
            temperature=export.temperature,
            notes=export.notes,
        )
        outputs.write(files, report.to_json())
    return report, outputs.paths


def load_data(path: Path, checkpoint: Checkpoint, skip_bad: bool, say: Say) -> FaceData:
    """The faces in `path` with the checkpoint's classes, placed by its class mapping.

    Raises DataError if there is no place for a class, or the faces are not of the checkpoint's size.
    """
    say(f"Reading {path} ...")
    data = load_faces(path, skip_bad=skip_bad)
    for note in data.notes:
        say(f"note: {note}")
    data = align_classes(data, checkpoint.classes, checkpoint.class_mapping, "the checkpoint")
    if data.images.shape[1] != checkpoint.input_size:
        sizes = f"{data.images.shape[1]} pixels wide, but the checkpoint takes {checkpoint.input_size}"
        raise DataError(f"{path} has faces {sizes}: give the data it was trained on")
    return data


@dataclass
class Export:
    """One export under way: what it works on, and what its steps have made and found so far.

    folder: for temporary files. models: by precision, without contract. contracts: by precision, without what
    is only known at the end. operators: by precision, as onnxruntime runs them. convolutions: in the network.
    gates: all that were checked. consistency, temperature: of int8. notes: what the user should know.
    """

    options: ExportOptions
    say: Say
    folder: Path
    checkpoint: Checkpoint
    network: Network
    data: FaceData | None
    models: dict[str, onnx.ModelProto] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)
    operators: dict[str, dict[str, int]] = field(default_factory=dict)
    convolutions: int = 0
    gates: list[Gate] = field(default_factory=list)
    consistency: Runs | None = None
    temperature: Refit | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.checkpoint_sha256 = sha256_of(self.options.checkpoint)
        contract = contract_of(self.checkpoint, self.checkpoint_sha256)
        self.contracts |= dict.fromkeys(("fp32", "int8") if self.options.quantize else ("fp32",), contract)

    def check(self, *gates: Gate) -> None:
        """Record the gates; GateError if one failed, unless forced."""
        self.gates += gates
        enforce(gates, self.options.force)
        for gate in gates:
            if not gate.passed:
                self.say(f"gate failed, going on because of --force: {gate}")

    def convert(self) -> Parity:
        """Make the fp32 model and compare it with PyTorch."""
        self.say(f"Converting {self.options.checkpoint} ({self.checkpoint.model}) to ONNX ...")
        model = self.models["fp32"] = to_onnx(self.network, self.checkpoint)
        stored = stored_operators(model)
        self.convolutions = stored.get("Conv", 0)
        self.operators["fp32"] = running_operators(save(model, self.folder / "plain.onnx"))
        parity = measure_parity(model, self.network, self.checkpoint.temperature, self.probes(), self.folder)
        self.check(folding_gate(stored), *parity_gates(parity))
        return parity

    def probes(self) -> Faces:
        """Faces to compare answers on."""
        real = None if self.data is None else self.data.split(PUBLIC_TEST).images
        return probe_faces(self.options.seed, self.checkpoint.input_size, real)

    def quantize(self) -> Calibration:
        """Make the int8 model, fit its temperature, and see that all its convolutions run in int8."""
        assert self.data is not None  # ExportOptions sees to it
        options = self.options
        faces, judges = choose_faces(self.data, options.calibration_images, DEFAULT_TUNING_IMAGES, options.seed)
        self.say(f"Quantising with {len(faces)} training faces, judged by {len(judges)} others ...")
        tuned = tune(self.models["fp32"], faces.images, judges.images, options.calibrator, self.folder, self.say)
        if tuned.chosen.agreement is None:
            self.notes.append(
                f"calibrator not chosen by agreement, nor biases corrected: {len(judges)} training faces are left for "
                f"that, and {MIN_TUNING_IMAGES} are needed"
            )
        self.models["int8"] = packed(tuned.model)
        self.operators["int8"] = running_operators(save(self.models["int8"], self.folder / "plain.int8.onnx"))
        self.check(*fusion_gates(self.convolutions, self.operators["int8"]))
        self.refit_temperature(self.data.split(PUBLIC_TEST))
        self.consistency = run_in_batches(self.models["int8"], self.probes(), self.folder)
        self.check(*consistency_gates(self.consistency))
        return Calibration(len(faces), faces.counts(), options.seed, len(judges), tuned.chosen, tuned.candidates)

    def refit_temperature(self, test: FaceData) -> None:
        """Give int8 a temperature of its own, fitted on the split on which fer-train fitted the checkpoint's."""
        if len(test) < MIN_IMAGES:
            self.notes.append(f"temperature not refitted for int8: {len(test)} test faces, and {MIN_IMAGES} are needed")
            return
        self.temperature = refit(self.models["int8"], self.checkpoint.temperature, test, PUBLIC_TEST, self.folder)
        self.models["int8"] = with_temperature(self.models["int8"], self.temperature.after)
        self.contracts["int8"] = replace(self.contracts["int8"], temperature=self.temperature.after)

    def measure(self) -> tuple[dict[str, Accuracy], float | None]:
        """Score every model on the test faces, as the runtime runs it, and compare int8 with fp32."""
        files = self.stamp(self.contracts)
        if self.data is None:
            self.notes.append("accuracy not measured: no --calibration-data was given")
            return {}, None
        test = self.data.split(PUBLIC_TEST)
        self.say(f"Measuring on {len(test)} test faces ...")
        probabilities = {name: predict(Classifier(path), test, name) for name, path in files.items()}
        accuracy = {name: measure_accuracy(values, self.data, PUBLIC_TEST) for name, values in probabilities.items()}
        if "int8" not in files:
            return accuracy, None
        agreed = agreement(probabilities["fp32"], probabilities["int8"])
        self.check(agreement_gate(agreed), *accuracy_gates(accuracy["fp32"], accuracy["int8"]))
        if len(test) < MIN_IMAGES_FOR_ACCURACY_DROP:
            self.notes.append(
                f"accuracy drop not judged: {len(test)} test faces are too few to tell one from chance "
                f"({MIN_IMAGES_FOR_ACCURACY_DROP} are needed)"
            )
        return accuracy, agreed

    def time(self) -> Latency:
        """Time the models against each other, one face at a time."""
        self.say("Timing ...")
        face = probe_faces(self.options.seed, self.checkpoint.input_size)[-1]
        files = self.stamp(self.contracts)
        return measure_latency({name: Classifier(path) for name, path in files.items()}, face)

    def final_contracts(self, accuracy: dict[str, Accuracy]) -> dict[str, Contract]:
        """What each file says of itself, with its measured accuracy and, if forced, its failed gates."""
        return {
            name: replace(
                contract, accuracy=_for_contract(accuracy.get(name)), failed_gates=failed_names(self.gates, name)
            )
            for name, contract in self.contracts.items()
        }

    def stamp(self, contracts: Mapping[str, Contract]) -> dict[str, Path]:
        """Write every model with its contract; paths by precision."""
        return {
            name: save(with_contract(model, contracts[name]), self.folder / f"{name}.onnx")
            for name, model in self.models.items()
        }


def _for_contract(accuracy: Accuracy | None) -> dict[str, object] | None:
    if accuracy is None:
        return None
    images, share = accuracy.metrics["images"], accuracy.metrics["accuracy"]
    return {"split": accuracy.split, "images": images, "accuracy": round(share, 6)}


def _written_file(path: Path, name: str) -> WrittenFile:
    return WrittenFile(name, path.stat().st_size, sha256_of(path))
