"""Files of tensors: best.pt, last.pt, detector.pt and the weights of other programs.

Such a file may come from a stranger. No code in it is executed, and neither its size nor that of its tensors decides
how much memory is taken.
"""

import errno
import io
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from fer_edge.errors import ModelError
from fer_edge.files import atomic_write
from fer_edge.guards.limits import MAX_CHECKPOINT_BYTES
from fer_edge.guards.shortages import shortage

MAX_DEPTH = 16  # of lists and dictionaries in each other
MAX_ITEMS = 1_000_000
MAX_TEXT = 100_000  # characters
MAX_INT = 2**63
PLAIN = (str, int, float, bool, type(None))


def save_tensors(values: Mapping[str, Any], path: Path) -> None:
    """Write `values` to `path` with torch.save, atomically; OutputError if that can't be done."""
    buffer = io.BytesIO()  # torch's own writer raises a bare RuntimeError when the disk is full
    torch.save(dict(values), buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getvalue())


def load_tensors(path: Path, hint: str) -> dict[str, Any]:
    """Read what save_tensors wrote, onto the CPU; a ModelError that ends in `hint` if `path` is another file.

    The values are dictionaries with texts or whole numbers as keys, lists, tuples, texts, numbers, booleans, None and
    dense tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path} is not a file: {hint}")
    try:
        size = path.stat().st_size
        if size > MAX_CHECKPOINT_BYTES.value:
            raise ModelError(
                f"{path} has {size:,} bytes, more than {MAX_CHECKPOINT_BYTES.value:,}: "
                f"if you trust it, raise {MAX_CHECKPOINT_BYTES.variable}"
            )
        _check_archive(path, size)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an error follows what torch warns of
            values = torch.load(path, map_location="cpu", weights_only=True)
        _check_values(values, MAX_CHECKPOINT_BYTES.value)
    except ModelError:
        raise
    except Exception as error:  # torch and pickle raise a dozen unrelated types on damaged files
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a place before the start
            raise ModelError(f"{path} can't be read: {error.strerror}") from error
        if (cause := shortage(error)) is not None:
            raise ModelError(f"{path} can't be read: {cause}") from error
        raise ModelError(f"{path} is not a checkpoint, or is damaged: {hint}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a checkpoint of fer-train: {hint}")
    return values


def _check_archive(path: Path, size: int) -> None:
    """ValueError if `path` is a zip archive that holds more than itself, or other bytes than its checksums say.

    torch stores without compression, and doesn't look at the checksums: a weight that a disk has changed stays unseen.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > size:
                raise ValueError("it is compressed")
            if archive.testzip() is not None:
                raise ValueError("its bytes have changed")


def _check_values(values: object, most_bytes: int) -> None:
    """ValueError for values that no file of ours has, or that would take more memory than `most_bytes`."""
    total = 0
    for value in _leaves(values):
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
                raise ValueError("it holds a tensor that is not dense")
            total += value.numel() * value.element_size()
            if total > most_bytes:  # a view may repeat its numbers
                raise ValueError("its tensors are too large")
        elif (
            not isinstance(value, PLAIN)
            or (isinstance(value, str) and len(value) > MAX_TEXT)
            or (isinstance(value, int) and abs(value) > MAX_INT)
        ):
            raise ValueError(f"it holds a {type(value).__name__}")


def _leaves(values: object) -> Iterator[object]:
    """What is not a list or dictionary in `values`; ValueError if they are too many or too deep in each other."""
    pending, count = [(values, 0)], 0
    while pending:
        value, depth = pending.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_ITEMS:
            raise ValueError("it holds too much")
        if isinstance(value, Mapping):
            if not all(isinstance(key, str | int) for key in value):
                raise ValueError("a key is not text")
            pending += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            pending += [(item, depth + 1) for item in value]
        else:
            yield value


def not_finite(values: object) -> bool:
    """Whether a number or tensor in `values` is NaN or infinite."""
    return any(
        not bool(torch.isfinite(value).all()) if isinstance(value, Tensor) else not math.isfinite(value)
        for value in _leaves(values)
        if isinstance(value, Tensor | float)
    )


def is_plain(values: object) -> TypeGuard[dict[str, Any]]:
    """Whether `values` is a dictionary that JSON can hold: texts as keys, no tensors, and finite numbers only."""
    try:
        return (
            isinstance(values, dict)
            and all(isinstance(value, PLAIN) for value in _leaves(values))
            and not not_finite(values)
            and all(isinstance(key, str) for key in _keys(values))
        )
    except ValueError:
        return False


def _keys(values: object) -> Iterator[object]:
    items: Any = values.values() if isinstance(values, Mapping) else values
    if isinstance(values, Mapping):
        yield from values
    if isinstance(items, list | tuple) or isinstance(values, Mapping):
        for item in items:
            yield from _keys(item)


def check_weights(weights: object, expected: Mapping[str, Tensor], owner: str) -> None:
    """ValueError if `weights` are not those of a network whose state_dict has the names and shapes of `expected`.

    owner: the network in messages. Raises ModelError for weights that are not numbers, whose training has failed.
    """
    if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise ValueError("its weights are not tensors by name")
    for name, value in expected.items():
        given = weights.get(name)
        if given is None:
            raise ValueError(f"the weights are not those of {owner}: {name} is missing")
        if given.shape != value.shape:
            shapes = f"{list(given.shape)}, not {list(value.shape)}"
            raise ValueError(f"the weights are not those of {owner}: the shape of {name} is {shapes}")
        if given.dtype != value.dtype:
            raise ValueError(f"the weights are not those of {owner}: {name} is {given.dtype}, not {value.dtype}")
    for name in weights:
        if name not in expected:
            raise ValueError(f"the weights are not those of {owner}, which has no {str(name)[:80]}")
    check_finite(weights)


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """ModelError if a weight is NaN or infinite."""
    for name, value in weights.items():
        if not_finite(value):
            raise ModelError(f"has weights that are not finite numbers ({name}): train again with a lower --lr")
