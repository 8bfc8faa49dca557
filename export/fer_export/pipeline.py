"""Run a whole export: a checkpoint in, two ONNX files and a report out, or nothing at all."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from fer_edge.classifier import Classifier, sha256_of
from fer_edge.errors import DataError
from fer_export.convert import to_onnx, usable_network
from fer_export.gates import (
    MIN_IMAGES_FOR_ACCURACY_DROP,
    Gate,
    accuracy_gates,
    agreement_gate,
    enforce,
    folding_gate,
    fusion_gates,
    parity_gates,
)
from fer_export.graph import contract_of, save, with_contract
from fer_export.measure import Accuracy, Latency, agreement, measure_accuracy, measure_latency, predict
from fer_export.operators import running_operators, stored_operators
from fer_export.outputs import Outputs
from fer_export.parity import Parity, measure_parity, probe_faces
from fer_export.quantise import choose_calibration_faces, quantise
from fer_export.report import Calibration, Report, WrittenFile
from fer_train.checkpoint import Checkpoint, load_checkpoint
from fer_train.data import PUBLIC_TEST, FaceData, load_faces
from fer_train.networks import Network

Say = Callable[[str], None]
"""Takes a line that tells the user what is being done."""


@dataclass(frozen=True)
class ExportOptions:
    """What to export and how.

    data: a FER2013 CSV, whose Training rows calibrate and whose PublicTest rows measure; needed to quantise.
    calibration_images: how many Training faces the int8 ranges are taken from.
    seed: of every random choice. force: write even if a gate fails.
    """

    checkpoint: Path
    out: Path
    quantize: bool
    data: Path | None
    calibration_images: int
    seed: int = 0
    overwrite: bool = False
    force: bool = False

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
    data = None if options.data is None else load_data(options.data, checkpoint, say)
    with tempfile.TemporaryDirectory(prefix="fer-export-") as folder:
        export = Export(options, say, Path(folder), checkpoint, network, data)
        parity = export.convert()
        calibration = export.quantise() if options.quantize else None
        accuracy, agreed = export.measure()
        latency = export.time()
        files = export.stamp(accuracy)
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
            notes=export.notes,
        )
        outputs.write(files, report.to_json())
    return report, outputs.paths


def load_data(path: Path, checkpoint: Checkpoint, say: Say) -> FaceData:
    """The faces in `path`; DataError if they are not of the checkpoint's classes and size."""
    say(f"Reading {path} ...")
    data = load_faces(path)
    if data.classes != checkpoint.classes:
        raise DataError(
            f"{path} has the classes {', '.join(data.classes)}, but the checkpoint was trained on "
            f"{', '.join(checkpoint.classes)}: give the data it was trained on"
        )
    if data.images.shape[1] != checkpoint.input_size:
        sizes = f"{data.images.shape[1]} pixels wide, but the checkpoint takes {checkpoint.input_size}"
        raise DataError(f"{path} has faces {sizes}: give the data it was trained on")
    return data


@dataclass
class Export:
    """One export under way: what it works on, and what its steps have made and found so far.

    folder: for temporary files. models: by precision, without contract. operators: by precision, as
    onnxruntime runs them. convolutions: in the network. gates: all that were checked. notes: what the user should know.
    """

    options: ExportOptions
    say: Say
    folder: Path
    checkpoint: Checkpoint
    network: Network
    data: FaceData | None
    models: dict[str, onnx.ModelProto] = field(default_factory=dict)
    operators: dict[str, dict[str, int]] = field(default_factory=dict)
    convolutions: int = 0
    gates: list[Gate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.checkpoint_sha256 = sha256_of(self.options.checkpoint)
        self.contract = contract_of(self.checkpoint, self.checkpoint_sha256)

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
        real = None if self.data is None else self.data.split(PUBLIC_TEST).images
        faces = probe_faces(self.options.seed, self.checkpoint.input_size, real)
        parity = measure_parity(model, self.network, self.checkpoint.temperature, faces, self.folder)
        self.check(folding_gate(stored), *parity_gates(parity))
        return parity

    def quantise(self) -> Calibration:
        """Make the int8 model and see that all its convolutions run in int8."""
        assert self.data is not None  # ExportOptions sees to it
        faces = choose_calibration_faces(self.data, self.options.calibration_images, self.options.seed)
        self.say(f"Quantising with {len(faces)} training faces ...")
        model = self.models["int8"] = quantise(self.models["fp32"], faces.images, self.folder)
        self.operators["int8"] = running_operators(save(model, self.folder / "plain.int8.onnx"))
        self.check(*fusion_gates(self.convolutions, self.operators["int8"]))
        return Calibration(len(faces), faces.counts(), self.options.seed)

    def measure(self) -> tuple[dict[str, Accuracy], float | None]:
        """Score every model on the test faces, as the runtime runs it, and compare int8 with fp32."""
        files = self.stamp({})
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
        return measure_latency(self.stamp({}), face)

    def stamp(self, accuracy: dict[str, Accuracy]) -> dict[str, Path]:
        """Write every model with its contract, holding its accuracy where that is known; paths by precision."""
        files = {}
        for name, model in self.models.items():
            stamped = with_contract(model, self.contract, _for_contract(accuracy.get(name)))
            files[name] = save(stamped, self.folder / f"{name}.onnx")
        return files


def _for_contract(accuracy: Accuracy | None) -> dict[str, object] | None:
    if accuracy is None:
        return None
    images, share = accuracy.metrics["images"], accuracy.metrics["accuracy"]
    return {"split": accuracy.split, "images": images, "accuracy": round(share, 6)}


def _written_file(path: Path, name: str) -> WrittenFile:
    return WrittenFile(name, path.stat().st_size, sha256_of(path))
