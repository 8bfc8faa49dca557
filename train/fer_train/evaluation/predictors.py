"""Trained networks from a checkpoint or an ONNX file behind one interface: faces in, probabilities out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from fer_edge import framing
from fer_edge.files import sha256_of
from fer_edge.framing import Square
from fer_edge.network.classifier import Classifier
from fer_train.evaluation.metrics import softmax
from fer_train.networks.checkpoint import load_checkpoint
from fer_train.networks.heads import CROSS_VALIDATION, find_head
from fer_train.networks.inference import predict_logits

BATCH_SIZE = 64
MIN_PROBABILITY = 1e-12  # keeps the logarithm finite when logits are recovered from probabilities

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


class Predictor(Protocol):
    """A trained network.

    precision: "fp32" or "int8". head: the name of the head that answers; None for a network with a single answer.
    class_mapping: per class of the training data the class it was mapped to, as in
    FaceData. temperature: the probabilities are softmax(logits / temperature). learned_all: as in Head.
    """

    path: Path
    sha256: str
    precision: str
    head: str | None
    classes: tuple[str, ...]
    class_mapping: Mapping[str, str | None]
    temperature: float
    learned_all: bool

    def predict(self, images: Images, label: str, normalize_light: bool = False) -> Probabilities:
        """Return probabilities, float32 [N, classes], of faces uint8 [N, 48, 48]; `label` names the progress bar.

        normalize_light: whether to normalize lighting first, as fer-edge does.
        """
        ...


class OnnxPredictor:
    """An ONNX file, run as fer-edge runs it. Raises ModelError or ContractError if it can't be used."""

    def __init__(self, path: Path, threads: int = 1, head: str | None = None) -> None:
        self.path = path
        self._classifier = Classifier(path, threads, head)
        self.sha256, self.precision = self._classifier.sha256, self._classifier.precision
        self.head = self._classifier.head
        contract = self._classifier.contract
        answering = contract.head(head, str(path)) or contract
        self.classes, self.class_mapping = answering.labels, answering.class_mapping
        self.temperature = answering.temperature
        self.learned_all = str((answering.accuracy or {}).get("split", "")).startswith(CROSS_VALIDATION)

    def predict(self, images: Images, label: str, normalize_light: bool = False) -> Probabilities:
        return onnx_probabilities(self._classifier, images, label, normalize_light)


class CheckpointPredictor:
    """A checkpoint of fer-train, run by PyTorch in fp32. Raises ModelError if it can't be used.

    threads: for all of PyTorch; None leaves its setting. head: which of its heads; None is the first. amp: run in
    bfloat16.
    """

    precision = "fp32"

    def __init__(
        self, path: Path, threads: int | None = None, device: str = "cpu", head: str | None = None, amp: bool = False
    ) -> None:
        stored = load_checkpoint(path)
        answering = find_head(stored.heads, head, str(path))
        checkpoint = stored.only([answering.name])
        if threads is not None:
            torch.set_num_threads(threads)
        self.path, self.sha256 = path, sha256_of(path)
        self.head = answering.name if len(stored.heads) > 1 else None
        self.classes, self.class_mapping = checkpoint.classes, checkpoint.class_mapping
        self.temperature, self.learned_all = checkpoint.temperature, answering.learned_all
        self._device, self._amp = torch.device(device), amp
        self._network = checkpoint.network().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(self, images: Images, label: str, normalize_light: bool = False) -> Probabilities:
        def run(batch: Images) -> Probabilities:
            if normalize_light:
                batch = batch.copy()
                for face in batch:
                    framing.normalize_light(face)
            logits = predict_logits(self._network, torch.from_numpy(batch).to(self._device), self._amp).numpy()
            return softmax(logits, self.temperature).astype(np.float32)

        return _run_in_batches(run, images, len(self.classes), label)


def open_predictor(path: Path, threads: int = 1, head: str | None = None) -> Predictor:
    """Open an ONNX file if `path` ends in .onnx, otherwise a checkpoint. Raises ModelError or ContractError.

    head: which of its heads; None is the first.
    """
    if path.suffix.casefold() == ".onnx":
        return OnnxPredictor(path, threads, head)
    return CheckpointPredictor(path, threads, head=head)


def onnx_probabilities(
    classifier: Classifier, images: Images, label: str, normalize_light: bool = False
) -> Probabilities:
    """Return probabilities, float32 [N, classes], of square faces uint8 [N, H, W].

    Faces are framed and resized as the contract says, which leaves 48 x 48 faces as they are for our networks.
    """

    def run(batch: Images) -> Probabilities:
        faces = [classifier.batch(image, [whole_square(image)], normalize_light) for image in batch]
        return classifier.predict(np.concatenate(faces))

    return _run_in_batches(run, images, len(classifier.labels), label)


def uncalibrated(probabilities: Probabilities, temperature: float) -> npt.NDArray[np.float64]:
    """Return the probabilities that the network would give with a temperature of 1."""
    return softmax(logits_from(probabilities, temperature))


def logits_from(probabilities: Probabilities, temperature: float) -> npt.NDArray[np.float64]:
    """Recover the logits behind `probabilities`, up to a constant per face."""
    return np.asarray(np.log(np.maximum(probabilities.astype(np.float64), MIN_PROBABILITY)) * temperature)


def whole_square(image: Images) -> Square:
    """Return the square that covers all of a square image, uint8 [H, W]."""
    side = image.shape[0]
    return Square(side / 2, side / 2, side)


def _run_in_batches(
    run: Callable[[Images], Probabilities], images: Images, num_classes: int, label: str
) -> Probabilities:
    parts = [np.empty((0, num_classes), dtype=np.float32)]
    starts = range(0, len(images), BATCH_SIZE)
    for start in tqdm(starts, desc=label, unit=" batches", leave=False, disable=None):
        parts.append(run(images[start : start + BATCH_SIZE]))
    return np.concatenate(parts)
