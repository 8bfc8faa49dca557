"""Training of our face detector `luma`: its network, loss, augmentation and training loop.

The scenes it learns from are made in `synthesis`, which imports nothing from here. fer-export turns its checkpoint into
ONNX; running it is the work of fer_edge.detectors.luma.
"""
