"""Find tensors of an ONNX model that are stored outside it, without the onnx package.

An ONNX model may say that a tensor is in another file. That may be any file of ours, such as /etc/passwd, whose bytes
would then show in the results, so the runtime refuses such models. The tensor may also be the constant of a node, or
of a subgraph, so the whole protobuf message is searched.
"""

from collections.abc import Iterator

from fer_edge.errors import ModelError

KEY = b"location"  # onnxruntime and OpenCV find the other file by the entry of this name
MAX_VARINT_BYTES = 10
# Of each message in onnx.proto that can hold a tensor: the message that each such field holds. A test compares this
# with the onnx package.
FIELDS = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of a tensor


def has_external_data(data: bytes) -> bool:
    """Whether a tensor of the ONNX model `data` is in another file; ModelError if `data` is no protobuf message."""
    if KEY not in data:  # nearly every model, and this is fast
        return False
    pending = [("Model", memoryview(data))]
    while pending:
        message, content = pending.pop()
        inside = FIELDS[message]
        for field, value in _fields(content):
            if message == "Tensor" and (field == EXTERNAL_DATA or (field == DATA_LOCATION and value)):
                return True
            if field in inside and isinstance(value, memoryview):
                pending.append((inside[field], value))
    return False


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Each field's number, and its bytes or varint; fixed-size values count as 0."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield field, value
        elif kind == 2:
            size, at = _varint(content, at)
            if size > len(content) - at:
                raise ModelError("it is cut short")
            yield field, content[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
            yield field, 0
        else:
            raise ModelError("it is no ONNX model")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and where it ends."""
    value = 0
    for index, byte in enumerate(content[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ModelError("it is cut short")
