"""Exported ONNX files in OpenVINO: the vectors of the model, query adapter included.

Needs `pip install openvino`, which is in the extra `dev`, and the extra `onnx`.
"""

from pathlib import Path

import numpy as np
import pytest
from test_onnx import TEXTS, model_of
from test_onnx import storage as storage  # a fixture

from rag_app.models.onnx import GRAPH, PASSAGE, QUERY, OnnxModel, write_onnx

openvino = pytest.importorskip("openvino", reason="the program that loads the file is not here")


def embed(folder: Path, texts: list[str], output: str) -> np.ndarray:
    """As the card's lines do with onnxruntime, by OpenVINO."""
    compiled = openvino.Core().compile_model(str(folder / GRAPH), "CPU")
    encoded = OnnxModel(folder)._tokenizer.encode_batch(texts)
    ids = np.array([one.ids for one in encoded])
    mask = np.array([one.attention_mask for one in encoded])
    return np.array(compiled({"input_ids": ids, "attention_mask": mask})[output])


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize(("int8", "least"), [(False, 0.999), (True, 0.99)])
def test_openvino_gives_the_models_vectors(
    storage: Path, tmp_path: Path, int8: bool, least: float
) -> None:
    model = model_of(storage, "adapted")
    write_onnx(model, tmp_path, int8=int8)
    asked, read = ([f"{prompt}: {text}" for text in TEXTS] for prompt in ("ask", "read"))
    cosines = [
        (embed(tmp_path, asked, QUERY) * model.embed_queries(TEXTS)).sum(axis=1),
        (embed(tmp_path, read, PASSAGE) * model.embed_passages(TEXTS)).sum(axis=1),
    ]
    assert np.min(cosines) > least
