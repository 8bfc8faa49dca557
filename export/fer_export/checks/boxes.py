"""Compare a detector's graph with its PyTorch network, and its int8 boxes with its fp32 boxes."""

import numpy as np
import onnx
import torch

from fer_edge.detectors.luma import LumaDetector
from fer_edge.framing import iou_matrix_xyxy
from fer_edge.network.session import open_session
from fer_export.graph.detector import INPUT, OUTPUT, Images
from fer_export.graph.onnx_file import to_bytes
from fer_train.detection.network import Luma
from fer_train.networks.normalization import MEAN, STD

PARITY_SHAPES = ((320, 320), (256, 320), (32, 96))
MATCH_IOU = 0.7  # from which int8's box is the same as fp32's


def output_delta(model: onnx.ModelProto, network: Luma, images: Images) -> float:
    """Largest absolute difference of an output of `model` to PyTorch's.

    images: uint8 [N, S, S], S at least 320, run as one batch and cropped to each of PARITY_SHAPES.
    """
    session = open_session(to_bytes(model))
    worst = 0.0
    for height, width in PARITY_SHAPES:
        batch = np.ascontiguousarray(images[:, None, :height, :width])
        with torch.no_grad():
            expected = network((torch.from_numpy(batch).float() - MEAN) / STD).numpy()
        found = session.run([OUTPUT], {INPUT: batch})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def box_agreement(first: LumaDetector, second: LumaDetector, images: Images, thresholds: tuple[float, ...]) -> float:
    """The fraction of either detector's boxes that the other finds, too (an IoU of MATCH_IOU or more).

    images: uint8 [N, H, W]. The mean of the fractions at several thresholds of the score; 1 where there are no boxes.
    """
    shared, total = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for image in images:
        found = [detector.search(image, min(thresholds)) for detector in (first, second)]
        for index, threshold in enumerate(thresholds):
            a, b = (boxes[scores >= threshold] for boxes, scores in found)
            total[index] += len(a) + len(b)
            same = iou_matrix_xyxy(a, b) >= MATCH_IOU
            shared[index] += same.any(axis=1).sum() + same.any(axis=0).sum()
    return float(np.divide(shared, total, out=np.ones(len(thresholds)), where=total > 0).mean())
