"""Run an emotion network: faces of one frame in, a row of probabilities each out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Image, Square, crop, normalize_light
from fer_edge.network.session import load_model, read_contract
from fer_edge.opencv import cv2

log = logging.getLogger(__name__)


class Classifier:
    """An emotion network from an ONNX file.

    path: the file. contract: what it says of itself. precision: "int8" if it holds quantised
    operators, else "fp32".

    Raises ModelError or ContractError if the file can't be used.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        opened = load_model(path, threads)
        self._opened, self._session, self.precision = opened, opened.session, opened.precision
        self.contract = read_contract(self._session, path, "classifier")
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        self._check()
        if self.contract.failed_gates:
            failed = ", ".join(self.contract.failed_gates)
            log.warning("%s was exported with --force and fails %s: its answers may be wrong", path, failed)

    @property
    def sha256(self) -> str:
        """Hex hash of the file as it was when it was opened."""
        return self._opened.sha256

    def _check(self) -> None:
        """Compare the graph with the contract and run it once: what fails, fails here and not amid a stream."""
        given, expected = self._session.get_inputs()[0], [self.contract.channels, *self.contract.input_size]
        if given.type != "tensor(uint8)" or list(given.shape[1:]) != expected:
            raise ContractError(
                f"{self.path}: its input is {given.type} {given.shape}, but its contract says "
                f"uint8 [N, {', '.join(map(str, expected))}]: export it again"
            )
        batch = np.zeros((2, *expected), dtype=np.uint8)  # two, for a graph that only takes one
        try:
            probabilities = self.predict(batch)
        except Exception as error:  # onnxruntime's own exceptions share no other base
            reason = " ".join(str(error).split())[:160]
            raise ModelError(f"{self.path} can't be run on a batch of faces ({reason}): export it again") from error
        labels = len(self.labels)
        if probabilities.shape != (2, labels) or not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
            raise ContractError(
                f"{self.path}: its output {list(probabilities.shape)} is not a row of {labels} probabilities a face, "
                "as its contract says: export it again"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the probabilities."""
        return self.contract.labels

    def predict(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities float32 [N, classes] of faces uint8 [N, C, H, W] as the contract says."""
        if not len(batch):
            return np.empty((0, len(self.labels)), dtype=np.float32)
        probabilities: npt.NDArray[np.float32] = self._session.run([self._output], {self._input: batch})[0]
        return probabilities

    def classify(self, image: Image, squares: Sequence[Square]) -> npt.NDArray[np.float32]:
        """Probabilities float32 [N, classes] of the FER2013 squares in `image` (grey or BGR), in one call."""
        return self.predict(self.batch(image, squares))

    def batch(self, image: Image, squares: Sequence[Square], good_light: bool = True) -> npt.NDArray[np.uint8]:
        """The squares as the network's input, uint8 [N, C, H, W].

        good_light: whether bad light is made good (normalise_light), which is for networks that take grey. Measuring
        a network alone is done without.
        """
        height, width = self.contract.input_size
        faces = np.empty((len(squares), self.contract.channels, height, width), dtype=np.uint8)
        direct = self.contract.color == "grey" and image.ndim == 2
        for face, square in zip(faces, squares, strict=True):
            if self.contract.framing != 1.0:
                square = square._replace(side=square.side * self.contract.framing)
            if direct:
                crop(image, square, (height, width), face[0])
            else:
                self._fill(face, crop(image, square, (height, width)))
            if good_light and self.contract.color == "grey":
                normalize_light(face)
        return faces

    def _fill(self, face: npt.NDArray[np.uint8], pixels: Image) -> None:
        if self.contract.color == "grey":
            face[0] = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        elif pixels.ndim == 2:
            face[:] = pixels
        else:
            face[:] = pixels[:, :, ::-1].transpose(2, 0, 1)
