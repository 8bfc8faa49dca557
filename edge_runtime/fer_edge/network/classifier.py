"""Run an emotion network: the faces of one frame in, a row of probabilities per face out."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_edge import framing
from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Image, Square, crop, to_gray
from fer_edge.network import timed
from fer_edge.network.contract import Contract
from fer_edge.network.session import IN_MEMORY, RunError, load_model, read_contract

log = logging.getLogger(__name__)

MAX_SUM_ERROR = 1e-3  # of the probabilities of a face
MAX_BATCH_BYTES = 16_000_000  # of faces in one run: a crowd must not need more memory than an image


class Classifier:
    """An emotion network from an ONNX file or its bytes.

    model: the file or its bytes. head: which of the file's heads answers; None for the first one, or for a file with
    a single answer.
    path: the file. contract: read from it. precision: "int8" if it holds quantized operators, else "fp32".

    Raises ModelError or ContractError if the file can't be used, or has no head of that name.

    >>> import fer_models
    >>> classifier = Classifier(fer_models.default_model())
    >>> classifier.predict(np.zeros((1, 1, 48, 48), np.uint8)).shape
    (1, 7)
    """

    def __init__(self, model: Path | bytes, threads: int = 1, head: str | None = None) -> None:
        path = self.path = Path(IN_MEMORY) if isinstance(model, bytes) else model
        self._model = load_model(model, threads)
        self._session, self.precision = self._model.session, self._model.precision
        self.contract = read_contract(self._session, path, "classifier")
        self._head = self.contract.head(head, str(path))
        self._input = self._session.get_inputs()[0].name
        self._output = self._output_name()
        self._check()
        if self.contract.failed_gates:
            failed = ", ".join(self.contract.failed_gates)
            log.warning("%s was exported with --force and fails %s: its labels may be wrong", path, failed)

    def _output_name(self) -> str:
        """The ONNX output that answers; ContractError if the file's outputs are not those of its heads."""
        outputs: list[str] = [output.name for output in self._session.get_outputs()]
        check_outputs(self.contract, outputs, str(self.path))
        return outputs[0] if self._head is None else self._head.output

    @property
    def sha256(self) -> str:
        """Hex hash of the file as it was when it was opened."""
        return self._model.sha256

    def _check(self) -> None:
        """Compare the graph with the contract and run it once: a bad file fails here and not during a stream.

        A network that ships with fer-edge has passed this before its release; its hash says that it is that file.
        """
        if self._model.shipped:
            return
        given, expected = self._session.get_inputs()[0], [self.contract.channels, *self.contract.input_size]
        if given.type != "tensor(uint8)" or list(given.shape[1:]) != expected:
            raise ContractError(
                f"{self.path}: its input is {given.type} {given.shape}, but its contract says "
                f"uint8 [N, {', '.join(map(str, expected))}]: export it again"
            )
        # Two, to catch a graph that takes only one, and not only zeros, which hide faults such as a division by 0.
        batch = np.arange(2 * math.prod(expected)).reshape(2, *expected).astype(np.uint8)
        batch[0] = 0
        try:
            probabilities = timed.first_run(lambda: self._run(batch), str(self.path))
        except RunError as error:
            raise ModelError(
                f"{self.path} can't be run on a batch of faces ({error.reason}): export it again"
            ) from error
        self._check_numbers(probabilities, 2)

    def _check_numbers(self, probabilities: object, faces: int) -> None:
        """ContractError if a network's output is not a row of probabilities per face, as with a NaN."""
        labels = len(self.labels)
        if not isinstance(probabilities, np.ndarray):
            shown = "(no array)"
        elif probabilities.dtype.kind != "f":
            kind = "texts" if probabilities.dtype.kind in "OU" else str(probabilities.dtype)
            shown = f"is of {kind}, and"
        elif probabilities.shape == (faces, labels):
            sums = probabilities.sum(axis=1)  # of a row with a NaN: NaN, which compares as false
            if (np.abs(sums - 1) <= MAX_SUM_ERROR).all() and probabilities.min() >= -MAX_SUM_ERROR:
                return
            shown = "holds values that are not probabilities (such as NaN), and"
        else:
            shown = f"{list(probabilities.shape)}"
        raise ContractError(
            f"{self.path}: its output {shown} is not a row of {labels} probabilities per face, "
            "as its contract says: export it again, or use another network"
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the probabilities."""
        return self.contract.labels if self._head is None else self._head.labels

    @property
    def head(self) -> str | None:
        """The name of the head that answers; None for a file with a single answer."""
        return None if self._head is None else self._head.name

    @property
    def min_confidence(self) -> float:
        """The contract's threshold, 0 to 1: less confident labels are unsure. 0: none is."""
        return self.contract.min_confidence if self._head is None else self._head.min_confidence

    @property
    def accuracy(self) -> dict[str, Any] | None:
        """The accuracy of the head that answers, as its contract gives it."""
        accuracy = self.contract.accuracy if self._head is None else self._head.accuracy
        return None if accuracy is None else dict(accuracy)

    @property
    def confusion(self) -> list[list[int]] | None:
        """How often each true label (row) got each label (column), in the order of `labels`; None if unknown."""
        counts = None if self._head is None else self._head.confusion
        return None if counts is None else [list(row) for row in counts]

    def predict(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities float32 [N, classes] of faces uint8 [N, C, H, W], shaped as the contract says.

        Raises ModelError if the network gives other values than probabilities, or takes too long.
        """
        if not len(batch):
            return np.empty((0, len(self.labels)), dtype=np.float32)
        step = max(1, MAX_BATCH_BYTES // batch[0].nbytes)
        parts = [self._checked(batch[start : start + step]) for start in range(0, len(batch), step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _checked(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        probabilities = self._run(batch)
        self._check_numbers(probabilities, len(batch))
        return probabilities

    def _run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        outputs: npt.NDArray[np.float32] = self._model.run([self._output], {self._input: batch})[0]
        return outputs

    def classify(self, image: Image, squares: Sequence[Square]) -> npt.NDArray[np.float32]:
        """Probabilities float32 [N, classes] of the FER2013 squares in `image` (gray or BGR), in one run."""
        return self.predict(self.batch(image, squares))

    def batch(self, image: Image, squares: Sequence[Square], normalize_light: bool = True) -> npt.NDArray[np.uint8]:
        """The squares as the network's input, uint8 [N, C, H, W].

        normalize_light: brighten dark faces and raise the contrast of flat ones, if the network takes gray; False to
        measure the network alone.
        """
        contract = self.contract
        height, width = contract.input_size
        takes_gray = contract.color == "grey"
        faces = np.empty((len(squares), contract.channels, height, width), dtype=np.uint8)
        for face, square in zip(faces, squares, strict=True):
            if contract.framing != 1.0 or contract.framing_down:
                down, side = contract.framing_down * square.side, contract.framing * square.side
                square = Square(square.x, square.y + down, side)
            if takes_gray and image.ndim == 2:
                crop(image, square, (height, width), face[0])
            else:
                pixels = crop(image, square, (height, width))
                if takes_gray:
                    face[0] = to_gray(pixels)
                else:
                    face[:] = pixels if pixels.ndim == 2 else pixels[:, :, ::-1].transpose(2, 0, 1)
            if takes_gray and normalize_light:
                framing.normalize_light(face)
        return faces


def check_outputs(contract: Contract, outputs: list[str], file: str) -> None:
    """Raise ContractError if the ONNX outputs of `file` are not those of its contract's heads, in their order."""
    expected = [head.output for head in contract.heads]
    if expected and outputs != expected:
        raise ContractError(
            f"{file}: its outputs are {', '.join(outputs)}, but its contract has the heads {', '.join(expected)}: "
            "export it again"
        )
