"""Build, edit and read ONNX graphs. What a graph computes is measured in `checks`, how it is quantized is in `int8`."""
