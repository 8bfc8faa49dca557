"""Build and read ONNX graphs."""
