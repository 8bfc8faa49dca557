"""Open ONNX files in onnxruntime with the settings every fer tool uses; if asked, while modules are still imported."""

import contextlib
import threading
from functools import cached_property
from pathlib import Path

import onnxruntime

from fer_edge.errors import ContractError, ModelError
from fer_edge.network.contract import METADATA_KEY, Contract, parse_contract


class OnnxModel:
    """An ONNX file as it was when it was read.

    session: ready to run. precision: "int8" if it holds quantised operators, else "fp32".
    """

    def __init__(self, session: onnxruntime.InferenceSession, data: bytes) -> None:
        self.session = session
        # The runtime has no onnx package to look with: a quantised file has QuantizeLinear nodes.
        self.precision = "int8" if b"QuantizeLinear" in data else "fp32"
        self._data = data

    @cached_property
    def sha256(self) -> str:
        """Hex hash of the file. Its bytes are kept until it is first asked for, which is after the first results."""
        import hashlib  # loads OpenSSL, which takes a while

        digest = hashlib.sha256(self._data).hexdigest()
        del self._data
        return digest


class _Opening(threading.Thread):
    """Opens a file; `result` waits for it. Not a daemon: the interpreter must not end amid onnxruntime's work."""

    def __init__(self, path: Path, threads: int, warm_up: tuple[int, ...] | None) -> None:
        super().__init__(name=f"fer-open-{path.name}")
        self._path, self._threads, self._warm_up = path, threads, warm_up
        self._opened: OnnxModel | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._opened = _open(self._path, self._threads)
            if self._warm_up is not None:
                _run_once(self._opened.session, self._warm_up)
        except BaseException as error:  # noqa: BLE001 - raised where the file is asked for
            self._error = error

    def result(self) -> OnnxModel:
        self.join()
        if self._opened is None:
            assert self._error is not None
            raise self._error
        return self._opened


_begun: dict[tuple[Path, int], _Opening] = {}


def preload(path: Path, threads: int = 1, warm_up: tuple[int, ...] | None = None) -> None:
    """Start to open `path` in a thread; the next `open_file` of the same file and threads waits for that.

    onnxruntime needs no interpreter while it prepares and runs a network, so this takes no time while modules are
    imported. warm_up: run it once on zeros uint8 of this shape, since the first run of a size is slow.
    """
    _begun[path, threads] = _Opening(path, threads, warm_up)


def load_model(path: Path, threads: int = 1) -> OnnxModel:
    """Open an ONNX file on the CPU; ModelError if that can't be done.

    One inter-op thread, sequential, no spinning (idle threads would burn a small machine's core), no
    memory arena (it only grows), its own log off.
    """
    begun = _begun.pop((path, threads), None)
    return _open(path, threads) if begun is None else begun.result()


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """The session of `open_file`."""
    return load_model(path, threads).session


def _open(path: Path, threads: int) -> OnnxModel:
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
        # Read once: hash and network are of the same bytes, whatever becomes of the file.
        data = path.read_bytes()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{path} is not a usable ONNX file, or is truncated ({reason}): export it again") from error
    return OnnxModel(session, data)


def _run_once(session: onnxruntime.InferenceSession, shape: tuple[int, ...]) -> None:
    import numpy as np

    # What is wrong with the file is told by whoever opens it.
    with contextlib.suppress(Exception):
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
