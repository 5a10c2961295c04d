"""Writes the OpenVINO graph with 8 bits that passages pass through: see passage_graph.py."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_app.disk import write_json
from rag_app.models.folders import GRAPH_FOLDER, PASSAGE_GRAPH
from rag_app.models.onnx import GRAPH, PASSAGE, errors_only, padding_of, write_onnx_graph
from rag_app.models.passage_graph import (
    GRAPH_SETTINGS,
    GRAPH_WEIGHTS,
    padding_tokenizer,
    tokens_of,
)

if TYPE_CHECKING:
    from rag_app.models.embedding import EmbeddingModel

# Passages that the ranges of activations are taken from.
CALIBRATION = 120


def write_passage_graph(model: "EmbeddingModel", folder: Path, passages: Sequence[str]) -> int:
    """Write the graph of a model into the folder of its copy; how many passages calibrated it.

    Post-training quantization by NNCF with its settings for transformers: weights by channel,
    activations by ranges that passages show, SmoothQuant (Xiao et al. 2022, arXiv 2211.10438).

    Arguments:
        model: one that embeds passages with its weights.
        passages: texts without prompts, of which up to CALIBRATION are taken, evenly.
    Raises:
        ModelError: the model does not begin with a transformer.
    """
    import openvino

    path = folder / PASSAGE_GRAPH
    path.parent.mkdir(exist_ok=True)
    padding = padding_of(model)
    with TemporaryDirectory(dir=folder) as scratch:
        write_onnx_graph(model, Path(scratch) / GRAPH)
        whole = openvino.Core().read_model(Path(scratch) / GRAPH)
        # Without the query adapter, which is the other output.
        graph = openvino.Model([whole.output(PASSAGE)], whole.get_parameters())
        texts = _calibration(model, passages, padding)
        openvino.save_model(_quantized(graph, texts), path)
    files = (path, path.with_name(GRAPH_WEIGHTS))
    settings = {
        "padding": padding,
        "calibration_passages": len(texts),
        "bytes": {file.name: file.stat().st_size for file in files},
    }
    write_json(folder / GRAPH_FOLDER / GRAPH_SETTINGS, settings)
    return len(texts)


def _calibration(
    model: "EmbeddingModel", passages: Sequence[str], padding: dict[str, Any]
) -> list[dict[str, Any]]:
    """Tokens of passages, one by one, so that no padding counts; they are drawn evenly."""
    drawn = np.linspace(0, len(passages) - 1, min(len(passages), CALIBRATION)).astype(int)
    tokenizer = padding_tokenizer(model.tokenizer, model.max_tokens, padding)
    return [tokens_of(tokenizer, [model.prompts.passage + passages[place]]) for place in drawn]


def _quantized(graph: Any, texts: Sequence[dict[str, Any]]) -> Any:
    # It logs, and draws bars on standard output.
    with redirect_stdout(StringIO()), errors_only("nncf"):
        import nncf

        return nncf.quantize(
            graph,
            nncf.Dataset(texts),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(texts),
        )
