"""Run an emotion network: faces of one frame in, a row of probabilities each out."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from fer_edge.contract import METADATA_KEY, Contract, parse_contract
from fer_edge.errors import ContractError, ModelError
from fer_edge.files import sha256_of
from fer_edge.framing import Image, Square, crop
from fer_edge.opencv import cv2

log = logging.getLogger(__name__)


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime CPU session for `path` with the settings every fer tool uses; ModelError if it can't be loaded.

    One inter-op thread, sequential, no spinning (idle threads would burn a small machine's core), no
    memory arena (it only grows), its own log off.
    """
    if not path.is_file():
        raise ModelError(f"{path} is not a file: --model names an ONNX file that fer-export wrote")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # fatal only: errors are raised as well, and told in our own words
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{path} is not a usable ONNX file, or is truncated ({reason}): export it again") from error


def read_contract(session: onnxruntime.InferenceSession, path: Path, kind: str) -> Contract:
    """The contract in the session's file, which must be of `kind`; ContractError otherwise."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ContractError(
            f"{path} has no {METADATA_KEY}, so its labels and input are unknown: make the file with fer-export"
        )
    contract = parse_contract(text, str(path))
    if contract.kind != kind:
        raise ContractError(f"{path} is a {contract.kind}, and a {kind} is needed here: name another file")
    return contract


class Classifier:
    """An emotion network from an ONNX file.

    path: the file. contract: what it says of itself. precision: "int8" if it holds quantised
    operators, else "fp32". sha256: hash of the file.

    Raises ModelError or ContractError if the file can't be used.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._session = open_session(path, threads)
        self.contract = read_contract(self._session, path, "classifier")
        # Now, not when the report is written: the file may have been replaced by then.
        self.sha256 = sha256_of(path)
        # From the bytes, since the runtime has no onnx package: a quantised file has QuantizeLinear nodes.
        self.precision = "int8" if b"QuantizeLinear" in path.read_bytes() else "fp32"
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        self._check()
        if self.contract.failed_gates:
            failed = ", ".join(self.contract.failed_gates)
            log.warning("%s was exported with --force and fails %s: its answers may be wrong", path, failed)

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

    def batch(self, image: Image, squares: Sequence[Square]) -> npt.NDArray[np.uint8]:
        """The squares as the network's input, uint8 [N, C, H, W]."""
        height, width = self.contract.input_size
        faces = np.empty((len(squares), self.contract.channels, height, width), dtype=np.uint8)
        direct = self.contract.colour == "grey" and image.ndim == 2
        for face, square in zip(faces, squares, strict=True):
            if self.contract.framing != 1.0:
                square = replace(square, side=square.side * self.contract.framing)
            if direct:
                crop(image, square, (height, width), face[0])
            else:
                self._fill(face, crop(image, square, (height, width)))
        return faces

    def _fill(self, face: npt.NDArray[np.uint8], pixels: Image) -> None:
        if self.contract.colour == "grey":
            face[0] = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        elif pixels.ndim == 2:
            face[:] = pixels
        else:
            face[:] = pixels[:, :, ::-1].transpose(2, 0, 1)
