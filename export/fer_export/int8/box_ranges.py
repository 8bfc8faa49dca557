"""Narrow the ranges of a detector's outputs to the values that matter, so that int8's steps there are finer."""

import numpy as np
import numpy.typing as npt
import onnx

from fer_export.int8.calibration import Range, tensor_values

MIN_LOGIT = -4.6  # a score of 0.01: nothing asks for lower scores, so int8 needs no steps there
FACE_LOGIT = -1.4  # a score of 0.2: boxes of cells with a lower one are never used
BOX_PERCENTILES = (0.05, 99.95)
Images = npt.NDArray[np.uint8]


def output_limits(model: onnx.ModelProto, scenes: Images) -> dict[str, Range]:
    """Limits, by tensor, of the score logits and the boxes of the fp32 detector `model`.

    scenes: uint8 [N, S, S]. The limits of boxes are their range over the cells that see a face: other cells output
    wider boxes, for which int8's steps would be so coarse that boxes jitter. A tensor of boxes has no limits if no
    cell sees a face.
    """
    heads = output_tensors(model)
    limits: dict[str, Range] = dict.fromkeys(heads, (MIN_LOGIT, np.inf))
    boxes: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in heads.values()}
    for values in tensor_values(model, [*heads, *heads.values()], scenes, "boxes"):
        for score, box in heads.items():
            sees_face = values[score][:, 0] > FACE_LOGIT
            boxes[box].append(values[box].transpose(0, 2, 3, 1)[sees_face].ravel())
    for name, parts in boxes.items():
        found = np.concatenate(parts)
        if len(found):
            low, high = np.percentile(found, BOX_PERCENTILES)
            limits[name] = (min(float(low), 0.0), max(float(high), 0.0))
    return limits


def output_tensors(model: onnx.ModelProto) -> dict[str, str]:
    """The tensor of boxes by the tensor of score logits, per stride: outputs of convolutions to 4 and 1 channels."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    by_input: dict[int, dict[str, str]] = {1: {}, 4: {}}  # channels -> input -> output
    for node in model.graph.node:
        if node.op_type == "Conv" and shapes[node.input[1]][0] in by_input:
            by_input[shapes[node.input[1]][0]][node.input[0]] = node.output[0]
    return {score: by_input[4][read] for read, score in by_input[1].items()}
