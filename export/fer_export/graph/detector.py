"""From a checkpoint of the face detector to an fp32 ONNX graph: uint8 images of any size in, scores and boxes out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from fer_edge.network.contract import Contract, DetectorContract, SecondLook
from fer_export.graph.trace import finish, trace
from fer_train.detection.network import SIDE_IN_STRIDES, STRIDES, Luma
from fer_train.detection.synthesis.scenes import MIN_FACE_PX
from fer_train.networks.normalization import MEAN, STD

INPUT, OUTPUT = "pictures", "answers"
SIDE_MULTIPLE = 32  # of an image's height and width: the stride of the coarsest grid that is added to a finer one
# The box is as YuNet draws it; benchmarks/accuracy/framing.py measures which square of it is FER2013's.
FRAMING = {"of_width": 0.0, "of_height": 0.95, "right": 0.0, "down": 0.0}
# A detection smaller than this and with a score in this range gets a second look: lower scores are rarely faces, higher
# ones almost always. Of the sizes tried, these rank best on facemask853 (docs/experiments.md).
SECOND_LOOK = SecondLook(window_px=96, face_px=40, least=0.4, most=0.85)
Images = npt.NDArray[np.uint8]


def detector_contract(checkpoint_sha256: str, trained: Mapping[str, Any], score_threshold: float) -> Contract:
    """The contract of both precisions of a detector.

    trained: the options that it was trained with. score_threshold: score, 0 to 1, from which a detection is a face.
    """
    return Contract(
        kind="detector",
        labels=(),
        input_size=(SIDE_MULTIPLE, SIDE_MULTIPLE),
        color="grey",
        output="boxes",
        dataset=str(trained.get("dataset", "")),
        checkpoint_sha256=checkpoint_sha256,
        detector=DetectorContract(STRIDES, SIDE_IN_STRIDES, score_threshold, int(MIN_FACE_PX), FRAMING, SECOND_LOOK),
    )


def detector_to_onnx(network: Luma) -> onnx.ModelProto:
    """The fp32 graph: "pictures" uint8 [batch, 1, 32 h, 32 w] to "answers" float32 [batch, 5, cells].

    Raises ModelError if the network can't be exported, GateError if torch did not keep to the requested opset.
    """
    sides = {name: SIDE_MULTIPLE * torch.export.Dim(name, min=1, max=512) for name in ("h", "w")}
    example = torch.zeros(1, 1, 4 * SIDE_MULTIPLE, 6 * SIDE_MULTIPLE)
    model = finish(trace(network, example, (INPUT, OUTPUT), {2: sides["h"], 3: sides["w"]}), MEAN, STD)
    _free_batch(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _free_batch(model: onnx.ModelProto) -> None:
    """Let a model that was exported for one image take any batch, in place.

    Only its Reshapes depend on the batch. (For a batch that torch knows as free, it computes their shapes with a
    dozen operators.)
    """
    graph = model.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    reshapes = [node for node in graph.node if node.op_type == "Reshape"]
    for node in reshapes:
        del node.attribute[:]  # allowzero would read the 0 as a size
    shapes = {node.input[1] for node in reshapes}
    for tensor in graph.initializer:
        if tensor.name in shapes:
            shape = numpy_helper.to_array(tensor).copy()
            shape[0] = 0  # as many as the input has
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    del graph.value_info[:], graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 5, "cells"]))
