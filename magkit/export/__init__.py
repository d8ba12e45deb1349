"""Networks for other programs: ONNX files and state dicts; features of frames."""
