"""Turn a checkpoint of fer-train into one ONNX file for fer-edge, fp32 and int8 (needs the extra `[export]`)."""
