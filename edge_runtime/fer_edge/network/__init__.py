"""An ONNX file's contract, its session, and the classifier that turns faces into probabilities.

Detection networks are read in `fer_edge.detectors.luma`; crops and lighting come from `fer_edge.framing`.
"""
