"""Read a third-party ONNX file as one model in memory, and bring its graph into the form that our edits need.

torch's own default export keeps the weights in a second file, `model.onnx.data`. fer-edge never reads such files, so
they become part of the model here. Only a file beside the model is read: the name comes from a stranger.
"""

import errno
import heapq
import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # no stubs
from onnx import TensorProto, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.guards import portable
from fer_edge.guards.limits import MAX_MODEL_BYTES

MAX_DIGITS = 18  # of an offset or a length
PACKED: dict[int, int] = {TensorProto.INT4: 2, TensorProto.UINT4: 2, TensorProto.FLOAT4E2M1: 2}  # values in a byte


def read_third_party(path: Path) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The model in `path`, and what was changed in it.

    Weights in files beside it are read, its nodes are sorted, and Reshape nodes read a 0 as the size of the input.
    Raises ModelError if the file can't be read, is too large, is not a model, names a file elsewhere, or if its nodes
    form a circle.
    """
    try:
        if not path.is_file():
            raise ModelError(f"{path} is not a file: name an ONNX file")
        size = path.stat().st_size
        _check_size(path, size)
        data = path.read_bytes()
        model = onnx.ModelProto.FromString(data)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.node:
        raise ModelError(f"{path} is not a usable ONNX file, or is truncated: export it again")
    changes = []
    if files := _read_external(model, path, len(data)):
        changes.append(f"the weights of {', '.join(files)}")
    if sort_nodes(model, path):
        changes.append("sorted nodes")
    if clear_allowzero(model):
        changes.append("plain Reshape nodes")
    return model, tuple(changes)


def _check_size(path: Path, size: int) -> None:
    if size > MAX_MODEL_BYTES.value:
        raise ModelError(
            f"{path} has {size:,} bytes with its weights, more than {MAX_MODEL_BYTES.value:,}: if you trust it, raise "
            f"{MAX_MODEL_BYTES.variable}"
        )


def _read_external(model: onnx.ModelProto, path: Path, size: int) -> list[str]:
    """Put the content of external tensors into the model; returns the names of their files."""
    contents: dict[str, bytes] = {}
    for tensor in _messages(model, TensorProto):
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            continue
        name = tensor.name or "a tensor"
        where = {entry.key: entry.value for entry in tensor.external_data}
        offset, length = _number(where.get("offset", "0")), _bytes_of(tensor)
        given = _number(where["length"]) if "length" in where else length
        if offset is None or length is None or given != length:
            raise ModelError(f"{path} says wrong things about {name!r:.80} in another file: export it again")
        size += length
        _check_size(path, size)
        location = where.get("location", "")
        if location not in contents:
            contents[location] = _read_beside(path, location)
        content = contents[location][offset : offset + length]
        if len(content) != length:
            raise ModelError(f"{path.with_name(location)} ends before {name!r:.80}: it is cut short or another file")
        tensor.raw_data = content
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return list(contents)


def _read_beside(path: Path, location: str) -> bytes:
    """The content of the file called `location` in the model's folder; ModelError for any other place."""
    if location in ("", ".", "..") or any(char in location for char in "/\\\0") or not location.isprintable():
        raise ModelError(
            f"{path} keeps weights in {location!r:.120}, and only files in its own folder are read: move the file "
            "there and export again"
        )
    beside = path.with_name(location)
    flags = os.O_RDONLY | portable.O_NOFOLLOW | portable.O_NONBLOCK | portable.O_CLOEXEC | portable.O_BINARY
    try:
        if beside.is_symlink():  # not every system has O_NOFOLLOW
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        descriptor = os.open(beside, flags)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ModelError(f"{beside}, which {path.name} keeps weights in, is not a file")
            _check_size(beside, found.st_size)
            return file.read()
    except OSError as error:
        reason = "it is a link: put the file itself there" if beside.is_symlink() else error.strerror
        raise ModelError(f"{beside}, which {path.name} keeps weights in, can't be read: {reason}") from error


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


def _bytes_of(tensor: onnx.TensorProto) -> int | None:
    """The bytes that a tensor's shape and type take; None if they have no fixed size."""
    count = int(math.prod(tensor.dims))
    try:
        item = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError:
        return None
    if tensor.data_type == TensorProto.STRING or count < 0 or min(tensor.dims, default=0) < 0:
        return None
    packed = PACKED.get(tensor.data_type, 0)
    return -(-count // packed) if packed else count * item


def _messages(message: Message, kind: type[Message]) -> Iterator[Any]:
    """Every message of this kind in `message`, however deep."""
    pending = [message]
    while pending:
        current = pending.pop()
        if isinstance(current, kind):
            yield current
        for field, value in current.ListFields():
            if field.message_type is not None:
                pending += [value] if isinstance(value, Message) else value


def sort_nodes(model: onnx.ModelProto, path: Path) -> bool:
    """Put each node behind those whose outputs it reads, in place, and otherwise in their order.

    Returns whether anything was changed; ModelError if nodes form a circle.
    """
    changed = False
    # Subgraphs first: sorting copies them with their nodes.
    for owner in reversed([*model.functions, *_messages(model, onnx.GraphProto)]):
        nodes = list(owner.node)
        order = _sorted(nodes, path)
        if order != list(range(len(nodes))):
            del owner.node[:]
            owner.node.extend(nodes[index] for index in order)
            changed = True
    return changed


def _sorted(nodes: Sequence[onnx.NodeProto], path: Path) -> list[int]:
    """The nodes' places in an order in which each stands behind those that it reads."""
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = [{makers[name] for name in _names_read(node) if name in makers} for node in nodes]
    readers: Mapping[int, list[int]] = {index: [] for index in range(len(nodes))}
    for index, needed in enumerate(needs):
        for maker in needed:
            readers[maker].append(index)
    missing = [len(needed) for needed in needs]
    ready, order = [index for index, count in enumerate(missing) if not count], list[int]()
    while ready:
        order.append(heapq.heappop(ready))
        for reader in readers[order[-1]]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = next(node for index, node in enumerate(nodes) if missing[index])
        raise ModelError(f"{path}: its nodes form a circle at {stuck.name or stuck.op_type!r:.80}: export it again")
    return order


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, in its subgraphs too, where they may belong to the graph around it."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            own = {name for inner in graph.node for name in inner.output}
            own.update(value.name for value in (*graph.input, *graph.initializer))
            for inner in graph.node:
                yield from (name for name in _names_read(inner) if name not in own)
            yield from (value.name for value in graph.output if value.name not in own)


def clear_allowzero(model: onnx.ModelProto) -> bool:
    """Remove allowzero=1, which torch sets, from Reshape nodes whose shape is constant and holds no 0, in place.

    There it means nothing. But a 0 that we put there, to free the batch size, would mean an empty tensor.
    """
    changed = False
    for graph in _messages(model, onnx.GraphProto):
        shapes = _constant_shapes(graph)
        for node in graph.node:
            if node.op_type != "Reshape" or node.domain not in ("", "ai.onnx") or len(node.input) < 2:
                continue
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            shape = shapes.get(node.input[1])
            if len(kept) < len(node.attribute) and shape is not None and 0 not in shape:
                del node.attribute[:]
                node.attribute.extend(kept)
                changed = True
    return changed


def _constant_shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Small constants of whole numbers by name."""
    tensors = [(tensor.name, tensor) for tensor in graph.initializer]
    found: dict[str, list[int]] = {}
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.name == "value":
                    tensors.append((node.output[0], attribute.t))
                elif attribute.name == "value_ints":
                    found[node.output[0]] = list(attribute.ints)
    for name, tensor in tensors:
        if tensor.data_type == TensorProto.INT64 and len(tensor.dims) == 1 and 0 <= tensor.dims[0] <= 16:
            try:
                found[name] = [int(side) for side in numpy_helper.to_array(tensor)]
            except ValueError:  # another number of values than the shape says
                continue
    return found
