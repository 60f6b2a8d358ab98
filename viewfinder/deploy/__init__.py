"""One ONNX file that describes and proves itself."""
