"""Trained networks, from a checkpoint or an ONNX file, behind one interface: faces in, probabilities out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from fer_edge.files import sha256_of
from fer_edge.framing import Square, normalize_light
from fer_edge.network.classifier import Classifier
from fer_train.evaluation.metrics import softmax
from fer_train.networks.checkpoint import load_checkpoint
from fer_train.networks.inference import predict_logits

BATCH = 64
TINY = 1e-12  # the least probability that is told from 0 when logits are worked out again

Images = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]


class Predictor(Protocol):
    """A trained network. class_mapping: as in FaceData, what it made of the classes of its training data.

    precision: "fp32" or "int8". temperature: its probabilities are softmax(logits / temperature).
    """

    path: Path
    sha256: str
    precision: str
    classes: tuple[str, ...]
    class_mapping: Mapping[str, str | None]
    temperature: float

    def predict(self, images: Images, label: str, good_light: bool = False) -> Probabilities:
        """Probabilities float32 [N, classes] of faces uint8 [N, 48, 48]; `label` names the progress bar.

        good_light: whether bad light is made good first, as fer-edge does it.
        """
        ...


class OnnxPredictor:
    """An ONNX file, run as fer-edge runs it. Raises ModelError or ContractError."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._classifier = Classifier(path, threads)
        self.sha256, self.precision = self._classifier.sha256, self._classifier.precision
        contract = self._classifier.contract
        self.classes, self.class_mapping = contract.labels, contract.class_mapping
        self.temperature = contract.temperature

    def predict(self, images: Images, label: str, good_light: bool = False) -> Probabilities:
        return onnx_probabilities(self._classifier, images, label, good_light)


class CheckpointPredictor:
    """A checkpoint of fer-train, run by PyTorch in fp32, on `threads` or as many as before. Raises ModelError."""

    precision = "fp32"

    def __init__(self, path: Path, threads: int | None = None, device: str = "cpu") -> None:
        checkpoint = load_checkpoint(path)
        if threads is not None:
            torch.set_num_threads(threads)
        self.path, self.sha256 = path, sha256_of(path)
        self.classes, self.class_mapping = checkpoint.classes, checkpoint.class_mapping
        self.temperature = checkpoint.temperature
        self._device = torch.device(device)
        self._network = checkpoint.network().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict(self, images: Images, label: str, good_light: bool = False) -> Probabilities:
        parts = [np.empty((0, len(self.classes)), dtype=np.float32)]
        for batch in _batches(images, label):
            if good_light:
                batch = batch.copy()
                for face in batch:
                    normalize_light(face)
            logits = predict_logits(self._network, torch.from_numpy(batch).to(self._device)).numpy()
            parts.append(softmax(logits, self.temperature).astype(np.float32))
        return np.concatenate(parts)


def open_predictor(path: Path, threads: int = 1) -> Predictor:
    """The network in `path`: an ONNX file if it is called .onnx, else a checkpoint. Raises ModelError."""
    if path.suffix.casefold() == ".onnx":
        return OnnxPredictor(path, threads)
    return CheckpointPredictor(path, threads)


def onnx_probabilities(classifier: Classifier, images: Images, label: str, good_light: bool = False) -> Probabilities:
    """Probabilities float32 [N, classes] of square faces uint8 [N, H, W], framed and resized as the contract asks.

    That changes nothing for a network that takes FER2013's own squares; `good_light` changes dark and flat faces.
    """
    parts = [np.empty((0, len(classifier.labels)), dtype=np.float32)]
    for batch in _batches(images, label):
        faces = [classifier.batch(image, [whole(image)], good_light) for image in batch]
        parts.append(classifier.predict(np.concatenate(faces)))
    return np.concatenate(parts)


def uncalibrated(probabilities: Probabilities, temperature: float) -> npt.NDArray[np.float64]:
    """What a network's `probabilities` would be with a temperature of 1."""
    return softmax(logits_from(probabilities, temperature))


def logits_from(probabilities: Probabilities, temperature: float) -> npt.NDArray[np.float64]:
    """The logits behind `probabilities`, up to a constant for each face."""
    return np.asarray(np.log(np.maximum(probabilities.astype(np.float64), TINY)) * temperature)


def whole(image: Images) -> Square:
    """The square that a picture of a face (uint8 [H, W], as wide as high) is."""
    side = image.shape[0]
    return Square(side / 2, side / 2, side)


def _batches(images: Images, label: str) -> "tqdm[Images]":
    starts = range(0, len(images), BATCH)
    batches = [images[start : start + BATCH] for start in starts]
    return tqdm(batches, desc=label, unit=" batches", leave=False, disable=None)
