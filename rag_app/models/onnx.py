"""A model as one ONNX graph: written from its folder, and run by onnxruntime.

The graph takes token ids and gives unit vectors: `sentence_embedding` for passages and, where the
model has a query adapter, `query_embedding` with that adapter applied. `tokenizer.json` beside it
pads and truncates as the model was judged; prompts stand in `settings.json` and are put before the
texts by who asks.
"""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cached_property, partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.errors import ModelError
from rag_app.models.embedding import EmbeddingModel
from rag_app.models.exported import SETTINGS_FILE, write_settings
from rag_app.models.passage_graph import INPUTS, embed_in_batches, padding_tokenizer
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"
PASSAGE, QUERY = "sentence_embedding", "query_embedding"
OPSET = 18
# Names of the query adapter's weights in the graph begin so.
_ADAPTER = "adapter"
# What is exported once more with other sizes is the same graph: these only make it concrete.
_TEXTS = ("a question", "another text of a few words more")


def write_onnx(model: EmbeddingModel, folder: Path, *, int8: bool = False) -> None:
    """Write a model's graph, tokenizer and settings into a folder that is there.

    Arguments:
        int8: weights of matrix products as 8-bit integers, one scale for each column.
    Raises:
        ModelError: the model does not begin with a transformer.
    """
    write_onnx_graph(model, folder / GRAPH)
    if int8:
        _quantize(folder / GRAPH)
    tokenizer = padding_tokenizer(model.tokenizer, model.max_tokens, padding_of(model))
    tokenizer.save(str(folder / TOKENIZER))
    write_settings(model, folder, int8=int8)


class OnnxModel:
    """An embedding model run by onnxruntime on the CPU; an `Embedder`.

    Arguments:
        folder: what `write_onnx` filled.
    Raises:
        ModelError: the folder holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
            self.dimension = int(settings["dimension"])
            self.name = f"{settings['model']}-onnx{'-int8' if settings['int8'] else ''}"
            self._prompts: dict[str, str] = settings["prompts"]
            digest = hashlib.sha256((folder / GRAPH).read_bytes())
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ModelError(
                f"{folder} is no model that `rag-app export onnx` wrote ({error}); export it again"
            ) from error
        digest.update((folder / SETTINGS_FILE).read_bytes())
        self.fingerprint = digest.hexdigest()[:16]

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed questions: (n_texts, dimension) float32, unit length."""
        output = QUERY if QUERY in self._outputs else PASSAGE
        return self._embed(texts, self._prompts["query"], output, progress)

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed passages: (n_texts, dimension) float32, unit length."""
        return self._embed(texts, self._prompts["passage"], PASSAGE, progress)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            str(self.folder / GRAPH), options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def _outputs(self) -> set[str]:
        return {output.name for output in self._session.get_outputs()}

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.folder / TOKENIZER))

    def _embed(self, texts: Sequence[str], prompt: str, output: str, progress: Progress) -> Vectors:
        return embed_in_batches(
            lambda given: self._session.run([output], given)[0],
            [prompt + text for text in texts],
            self._tokenizer,
            self.dimension,
            progress=partial(progress, "embed"),
        )


def write_onnx_graph(model: EmbeddingModel, path: Path) -> None:
    """Write the graph alone, in float32; raises what `write_onnx` raises."""
    import torch

    modules = list(model.transformer)
    adapter = modules.pop() if model.has_query_map else None
    if not hasattr(modules[0], "auto_model"):
        raise ModelError(
            f"{model.name} begins with no transformer ({type(modules[0]).__name__}), so there is "
            "no graph to export; `rag-app export sentence-transformers` copies it"
        )

    class Graph(torch.nn.Module):
        """Token ids to vectors of passages and, where there is an adapter, of questions."""

        def __init__(self) -> None:
            super().__init__()
            self.passage = torch.nn.ModuleList(modules)
            layers = adapter.sub_modules["query"] if adapter else []
            self.adapter = torch.nn.ModuleList(layers)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            found = {"input_ids": input_ids, "attention_mask": attention_mask}
            for module in self.passage:
                found = module(found)
            passage = self._unit(found)
            if not self.adapter:
                return passage
            for module in self.adapter:
                found = module(found)
            return passage, self._unit(found)

        @staticmethod
        def _unit(found: dict[str, Any]) -> Any:
            vectors = found["sentence_embedding"][:, : model.dimension]
            return torch.nn.functional.normalize(vectors, dim=-1)

    encoded = model.transformer.preprocess(list(_TEXTS))
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=model.max_tokens)
    shapes = ({0: batch, 1: length},) * len(INPUTS)
    with (
        errors_only("torch.onnx"),
        warnings.catch_warnings(),
        redirect_stdout(StringIO()),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            Graph().eval().cpu(),
            tuple(encoded[name].cpu() for name in INPUTS),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(INPUTS),
            output_names=[PASSAGE, QUERY] if adapter else [PASSAGE],
            opset_version=OPSET,
            verbose=False,
        )
    program.save(str(path))


def _quantize(path: Path) -> None:
    """Replace a graph by one with 8-bit weights; those of the query adapter are few and stay."""
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        QuantType,
        quantize_dynamic,
    )

    graph = onnx.load(path)
    # The exporter notes shapes of weights too, which the quantizer turns round.
    del graph.graph.value_info[:]
    adapter = [
        node.name
        for node in graph.graph.node
        if any(name.startswith(f"{_ADAPTER}.") for name in node.input)
    ]
    # It advises everybody's logging of a step for images.
    with errors_only(None):
        # With one scale for a whole matrix the vectors of MiniLM keep a cosine of .96, else .99.
        quantize_dynamic(
            graph,
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=adapter,
        )


@contextmanager
def errors_only(name: str | None) -> Iterator[None]:
    """A logger, or with None the root, lets through nothing but errors."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def padding_of(model: EmbeddingModel) -> dict[str, Any]:
    """What a tokenizer's `enable_padding` takes, to pad as the model's own does."""
    theirs = model.transformer.tokenizer
    return {"pad_id": int(theirs.pad_token_id), "pad_token": str(theirs.pad_token)}
