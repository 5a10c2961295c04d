"""Models for other programs: folders of sentence-transformers, ONNX graphs, GGUF files."""
