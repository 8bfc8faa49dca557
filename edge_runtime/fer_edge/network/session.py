"""Open and run ONNX models in onnxruntime with the settings that every fer tool uses.

`preload` starts opening a file in a thread while Python still imports modules.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ContractError, ModelError
from fer_edge.guards.shortages import shortage
from fer_edge.network.contract import METADATA_KEY, Contract, parse_contract
from fer_edge.onnx_runtime import onnxruntime

IN_MEMORY = "the model in memory"  # stands for the file's name in messages


class OnnxModel:
    """An opened ONNX model.

    session: ready to run. precision: "int8" if the graph holds quantized operators, else "fp32".
    """

    def __init__(self, session: onnxruntime.InferenceSession, data: bytes) -> None:
        self.session = session
        # The runtime does without the onnx package: a quantized file names QuantizeLinear nodes.
        self.precision = "int8" if b"QuantizeLinear" in data else "fp32"
        self._data = data

    @cached_property
    def sha256(self) -> str:
        """Hex hash of the file's bytes, kept until this is first read; the main job does so after the first results."""
        import hashlib  # loads OpenSSL, which takes a while

        digest = hashlib.sha256(self._data).hexdigest()
        del self._data
        return digest


class _Opening(threading.Thread):
    """Opens a file; `result` waits for it. Not a daemon: the interpreter must not exit while onnxruntime works."""

    def __init__(self, path: Path, threads: int, warm_up: tuple[int, ...] | None) -> None:
        super().__init__(name=f"fer-open-{path.name}")
        self._path, self._threads, self._warm_up = path, threads, warm_up
        self._model: OnnxModel | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._model = _open(self._path, self._threads)
            if self._warm_up is not None:
                _run_once(self._model.session, self._warm_up)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asks for the result
            self._error = error

    def result(self) -> OnnxModel:
        self.join()
        if self._model is None:
            assert self._error is not None
            raise self._error
        return self._model


_preloading: dict[tuple[Path, int], _Opening] = {}


def preload(path: Path, threads: int = 1, warm_up: tuple[int, ...] | None = None) -> None:
    """Start opening `path` in a thread; the next `load_model` of the same file and threads waits for it.

    onnxruntime releases the interpreter while it prepares and runs a network, so imports go on meanwhile.
    warm_up: input shape; the network runs once on uint8 zeros of it, because the first run of a shape is slow.
    """
    _preloading[path, threads] = _Opening(path, threads, warm_up)


def load_model(model: Path | bytes, threads: int = 1) -> OnnxModel:
    """Open an ONNX model, a file or its bytes, on the CPU; ModelError if it can't be opened.

    One inter-op thread, sequential, no spinning (idle threads would load a small machine's core), no memory arena (it
    only grows), onnxruntime's own log off.
    """
    started = None if isinstance(model, bytes) else _preloading.pop((model, threads), None)
    return _open(model, threads) if started is None else started.result()


def open_session(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """The session of `load_model`."""
    return load_model(model, threads).session


def iter_batches(
    session: onnxruntime.InferenceSession,
    inputs: npt.NDArray[np.uint8],
    batch_size: int,
    outputs: Sequence[str] | None = None,
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Run `inputs` [N, ...] in slices of `batch_size` and yield each slice's outputs, one array per name.

    outputs: names in the order wanted; None for all, in the graph's order. The session must have one input.
    """
    name = session.get_inputs()[0].name
    for start in range(0, len(inputs), batch_size):
        yield session.run(outputs, {name: inputs[start : start + batch_size]})


def run_in_batches(
    session: onnxruntime.InferenceSession,
    inputs: npt.NDArray[np.uint8],
    batch_size: int,
    outputs: Sequence[str] | None = None,
) -> list[npt.NDArray[np.float32]]:
    """The outputs of `session` for all of `inputs` [N, ...], joined along N: one array [N, ...] per name.

    Arguments as in `iter_batches`; N must be at least 1. Raises onnxruntime's errors.

    >>> import fer_models
    >>> faces = np.zeros((100, 1, 48, 48), np.uint8)
    >>> (probabilities,) = run_in_batches(open_session(fer_models.default_model()), faces, 64)
    >>> probabilities.shape
    (100, 7)
    """
    return [np.concatenate(parts) for parts in zip(*iter_batches(session, inputs, batch_size, outputs), strict=True)]


def _open(model: Path | bytes, threads: int) -> OnnxModel:
    if not isinstance(model, bytes) and not model.is_file():
        raise ModelError(f"{model} is not a file: name an ONNX file that fer-export wrote")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # fatal only: errors are raised as well, and reported in our own words
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    name = IN_MEMORY if isinstance(model, bytes) else str(model)
    try:
        data = model if isinstance(model, bytes) else model.read_bytes()  # once, so that hash and session agree
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no other base
        if (cause := shortage(error)) is not None:
            raise ModelError(f"{name} can't be opened: {cause}") from error
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{name} is not a usable ONNX file, or is truncated ({reason}): export it again") from error
    return OnnxModel(session, data)


def _run_once(session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> None:
    with contextlib.suppress(Exception):  # load_model's caller reports what is wrong with the file
        session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.uint8)})


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
