"""Open and run ONNX models in onnxruntime with the settings that every fer tool uses.

`preload` starts opening a file in a thread while Python still imports modules.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fer_edge.errors import ContractError, ModelError
from fer_edge.guards.limits import MAX_MODEL_BYTES, MAX_MODEL_SECONDS
from fer_edge.guards.memory import bounded_memory
from fer_edge.guards.shortages import shortage
from fer_edge.network import timed
from fer_edge.network.contract import METADATA_KEY, Contract, parse_contract
from fer_edge.network.external import has_external_data
from fer_edge.onnx_runtime import onnxruntime
from fer_models import shipped_sha256

IN_MEMORY = "the model in memory"  # stands for the file's name in messages
NOWHERE = "/nonexistent/fer-edge"  # where onnxruntime may look for external data


class Runnable(Protocol):
    """What runs a network: an OnnxModel, within its time limit, or onnxruntime's own session."""

    def get_inputs(self) -> Sequence[Any]:
        """The inputs, as onnxruntime describes them."""
        ...

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs of these names, None for all, for arrays by the names of the inputs."""
        ...


class RunError(ModelError):
    """A network that onnxruntime can't run on an input. reason: in onnxruntime's words, short."""

    def __init__(self, name: str, error: Exception) -> None:
        self.reason = " ".join(str(error).split())[:160]
        super().__init__(f"{name} can't be run on an image ({self.reason}): use another network")


class OnnxModel:
    """An opened ONNX model.

    session: ready to run. name: of the file, for messages. precision: "int8" if the graph holds quantized operators,
    else "fp32". shipped: it comes with fer-edge, so its outputs need no check and its runs no bound of memory.
    """

    def __init__(self, session: onnxruntime.InferenceSession, data: bytes, name: str, shipped: bool = False) -> None:
        self.session, self.name, self.shipped = session, name, shipped
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

    def get_inputs(self) -> Sequence[Any]:
        """The inputs, as onnxruntime describes them."""
        inputs: Sequence[Any] = self.session.get_inputs()
        return inputs

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Any]) -> list[Any]:
        """As the session's run; RunError if it fails.

        Raises ModelError if it takes more time or memory than fer_edge.guards.limits allows.
        """
        try:
            with contextlib.nullcontext() if self.shipped else bounded_memory(self.name):
                return timed.run(self.session, outputs, inputs, self.name)
        except ModelError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise RunError(self.name, error) from error


class _Opening(threading.Thread):
    """Opens a file; `result` waits for it. Not a daemon: the interpreter must not exit while onnxruntime works."""

    def __init__(self, model: Path | bytes, threads: int) -> None:
        self._file = IN_MEMORY if isinstance(model, bytes) else str(model)
        super().__init__(name=f"fer-open {self._file}")
        self._source, self._options = model, _session_options(threads)
        self._model: OnnxModel | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._model = _open(self._source, self._options, self._file)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asks for the result
            self._error = error

    def result(self) -> OnnxModel:
        limit_s = MAX_MODEL_SECONDS.value
        self.join(limit_s)
        if self.is_alive():
            self._options.set_load_cancellation_flag(True)
            raise ModelError(
                f"{self._file} is not open within {limit_s} s: it may be made to take for ever; "
                f"for a slow machine, raise {MAX_MODEL_SECONDS.variable}"
            )
        if self._model is None:
            assert self._error is not None
            raise self._error
        return self._model


_preloading: dict[tuple[Path, int], _Opening] = {}


def preload(path: Path, threads: int = 1) -> None:
    """Start opening `path` in a thread; the next `load_model` of the same file and threads waits for it.

    onnxruntime releases the interpreter while it prepares a network, so imports go on meanwhile.
    """
    _preloading[path, threads] = _Opening(path, threads)


def forget_preloaded() -> None:
    """Let `load_model` open every file again: for a caller that fails before it has taken what it preloaded."""
    _preloading.clear()


def load_model(model: Path | bytes, threads: int = 1) -> OnnxModel:
    """Open an ONNX model, a file or its bytes, on the CPU; ModelError if it can't be opened, or not in time.

    A model that reads tensors from other files is refused, because it could read any file of ours.

    One inter-op thread, sequential, no spinning (idle threads would load a small machine's core), no memory arena (it
    only grows), onnxruntime's own log off.
    """
    started = None if isinstance(model, bytes) else _preloading.pop((model, threads), None)
    return (started or _Opening(model, threads)).result()


def open_session(model: Path | bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """The session of `load_model`."""
    return load_model(model, threads).session


def iter_batches(
    session: Runnable,
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
    session: Runnable,
    inputs: npt.NDArray[np.uint8],
    batch_size: int,
    outputs: Sequence[str] | None = None,
) -> list[npt.NDArray[np.float32]]:
    """The outputs of `session` for all of `inputs` [N, ...], joined along N: one array [N, ...] per name.

    Arguments as in `iter_batches`; N must be at least 1. Raises onnxruntime's errors.

    >>> import fer_models
    >>> faces = np.zeros((100, 1, 48, 48), np.uint8)
    >>> people, *_ = run_in_batches(open_session(fer_models.default_model()), faces, 64)  # one array per head
    >>> people.shape
    (100, 7)
    """
    return [np.concatenate(parts) for parts in zip(*iter_batches(session, inputs, batch_size, outputs), strict=True)]


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # fatal only: errors are raised as well, and reported in our own words
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own format, which we don't check
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    return options


def read_model_file(path: Path) -> bytes:
    """The bytes of a model's file; ModelError if it is missing, too large, or keeps tensors in other files."""
    if not path.is_file():
        raise ModelError(f"{path} is not a file: name an ONNX file that fer-export wrote")
    try:
        size, limit = path.stat().st_size, MAX_MODEL_BYTES
        if size > limit.value:
            raise ModelError(
                f"{path} has {size:,} bytes, more than {limit.value:,}: if you trust it, raise {limit.variable}"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
    refuse_external_data(data, str(path))
    return data


def refuse_external_data(data: bytes, name: str) -> None:
    """Raise ModelError if the ONNX model `data` keeps tensors in other files, or is no ONNX model."""
    try:
        external = has_external_data(data)
    except ModelError as error:
        raise ModelError(f"{name} is not a usable ONNX file ({error}): export it again") from error
    if external:
        advice = "make one file of it, as fer-export adopt does"
        raise ModelError(f"{name} keeps tensors in other files, which fer-edge never reads: {advice}")


def _open(model: Path | bytes, options: onnxruntime.SessionOptions, name: str) -> OnnxModel:
    if isinstance(model, bytes):
        refuse_external_data(model, name)
    data = model if isinstance(model, bytes) else read_model_file(model)  # once, so that hash and session agree
    try:
        _check_threads(options.intra_op_num_threads)
        with bounded_memory(name):
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no other base
        if (cause := shortage(error)) is not None:
            raise ModelError(f"{name} can't be opened: {cause}") from error
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{name} is not a usable ONNX file, or is truncated ({reason}): export it again") from error
    expected = None if isinstance(model, bytes) else shipped_sha256(model)
    opened = OnnxModel(session, data, name, expected is not None)
    if expected is not None and opened.sha256 != expected:
        raise ModelError(f"{name} is not the file that fer-edge ships (its SHA-256 differs): install fer-edge again")
    return opened


def _check_threads(count: int) -> None:
    """Raise RuntimeError if `count` threads can't be started: onnxruntime may wait for ever for those that it lacks."""
    end, started = threading.Event(), []
    try:
        for _ in range(count if count > 1 else 0):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    finally:
        end.set()
        for thread in started:
            thread.join()


def read_contract(session: onnxruntime.InferenceSession, path: Path, kind: str) -> Contract:
    """The contract in the session's file, which must be of `kind` and have one input; ContractError otherwise."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        inputs, outputs = ([one.name for one in ends] for ends in (session.get_inputs(), session.get_outputs()))
    except UnicodeDecodeError as error:
        raise ContractError(f"{path} holds text that is not UTF-8: export it again") from error
    if text is None:
        raise ContractError(
            f"{path} has no {METADATA_KEY}, so its labels and input are unknown: make the file with fer-export"
        )
    contract = parse_contract(text, str(path))
    if contract.kind != kind:
        raise ContractError(f"{path} is a {contract.kind}, and a {kind} is needed here: name another file")
    if len(inputs) != 1 or not outputs:
        raise ContractError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: export it again")
    return contract
