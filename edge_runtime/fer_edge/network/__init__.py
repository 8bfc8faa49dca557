"""An ONNX emotion network: its contract, its session, and faces to probabilities."""
