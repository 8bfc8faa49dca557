"""From the checkpoint of our face detector to an ONNX graph: uint8 pictures of any size in, scores and boxes out."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.network.contract import Contract, DetectorContract, SecondLook
from fer_export.graph.classifier import OPSET, accept_uint8, check_opset, simplify
from fer_export.graph.onnx_file import strip_metadata
from fer_export.graph.quiet import quiet
from fer_train.detection.network import SIDE_IN_STRIDES, STRIDES, Luma
from fer_train.detection.synthesis.scenes import MIN_FACE_PX
from fer_train.networks.normalization import MEAN, STD

PICTURES, ANSWERS = "pictures", "answers"
SIDE_MULTIPLE = 32  # of the picture's sides: the coarsest grid that is added to a finer one
# The box is as YuNet draws it; benchmarks/framing.py measures which square of it is FER2013's.
FRAMING = {"of_width": 0.0, "of_height": 0.95, "right": 0.0, "down": 0.0}
# What is smaller than this and gets such a score is looked at again: below are hardly any faces, above is hardly
# anything else. Of the sizes tried on facemask853 this one ranks best (docs/experiments.md).
SECOND_LOOK = SecondLook(window_px=96, face_px=40, least=0.4, most=0.85)
Pictures = npt.NDArray[np.uint8]


def detector_contract(checkpoint_sha256: str, trained: dict[str, Any], score_threshold: float) -> Contract:
    """The contract of both precisions of a detector; `trained`: the options it was trained with."""
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
    """The fp32 model: "pictures" uint8 [batch, 1, 32 h, 32 w] to "answers" float32 [batch, 5, cells].

    Raises ModelError if the network can't be exported, GateError if torch did not keep to the asked opset.
    """
    model = _traced(network)
    accept_uint8(model, MEAN, STD)
    model = simplify(model)
    strip_metadata(model)
    check_opset(model)
    _free_batch(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _traced(network: Luma) -> onnx.ModelProto:
    """What torch's dynamo exporter makes of it, for one picture of free height and width."""
    sides = {name: SIDE_MULTIPLE * torch.export.Dim(name, min=1, max=512) for name in ("h", "w")}
    try:
        with quiet():
            program = torch.onnx.export(
                network.eval(),
                (torch.zeros(1, 1, 4 * SIDE_MULTIPLE, 6 * SIDE_MULTIPLE),),
                input_names=[PICTURES],
                output_names=[ANSWERS],
                dynamic_shapes=({2: sides["h"], 3: sides["w"]},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"torch can't export this network ({reason}): change its layers") from error
    assert program is not None  # only the old exporter returns nothing
    return program.model_proto


def _free_batch(model: onnx.ModelProto) -> None:
    """Let the model take any batch, in place. Exported for one picture, its only trace of that is in reshapes:
    for a batch that torch knows as free it computes their shapes with a dozen operators.
    """
    graph = model.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    reshapes = [node for node in graph.node if node.op_type == "Reshape"]
    for node in reshapes:
        del node.attribute[:]  # allowzero would take the 0 for a size
    shapes = {node.input[1] for node in reshapes}
    for tensor in graph.initializer:
        if tensor.name in shapes:
            wanted = numpy_helper.to_array(tensor).copy()
            wanted[0] = 0  # as the input has it
            tensor.CopyFrom(numpy_helper.from_array(wanted, tensor.name))
    del graph.value_info[:], graph.output[:]
    graph.output.append(helper.make_tensor_value_info(ANSWERS, TensorProto.FLOAT, ["batch", 5, "cells"]))
