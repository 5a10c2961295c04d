"""An OpenVINO graph in a model's folder, which passages pass through instead of the weights.

`rag-app export openvino` writes it (openvino.py). It takes token ids and gives unit vectors, with
8-bit weights and activations, on the processor. Questions, training and token embeddings use the
weights.
"""

import json
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_app.errors import ModelError, first_line
from rag_app.extras import require
from rag_app.models.folders import GRAPH_FOLDER, PASSAGE_GRAPH
from rag_app.progress import Progress
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

GRAPH_WEIGHTS, GRAPH_SETTINGS = "passages.bin", "passages.json"
INPUTS = ("input_ids", "attention_mask")
BATCH_SIZE = 32


class PassageGraph:
    """The graph of a model's folder.

    Arguments:
        model: the model's folder.
    Raises:
        ConfigError: OpenVINO is not installed.
        ModelError: the graph's files are not those that `rag-app export openvino` wrote.
    """

    def __init__(self, model: Path) -> None:
        require("openvino", extra="openvino")
        self.folder = model / GRAPH_FOLDER
        self._tokenizer: Tokenizer | None = None
        try:
            settings = json.loads((self.folder / GRAPH_SETTINGS).read_text("utf-8"))
            self._padding: dict[str, Any] = settings["padding"]
            meant: dict[str, int] = settings["bytes"]
            self.files = [self.folder / name for name in (GRAPH_SETTINGS, *sorted(meant))]
            found = {name: (self.folder / name).stat().st_size for name in meant}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise self._damaged(first_line(error)) from error
        if found != meant:
            raise self._damaged(f"{found} bytes, not {meant}")

    def embed(
        self, texts: Sequence[str], tokenizer: "Tokenizer", max_tokens: int, progress: Progress
    ) -> Vectors:
        """Embed texts with their prompts: (n_texts, dimension) float32, unit length.

        Arguments:
            tokenizer: of the model; it neither truncates nor pads.
            max_tokens: that are read of a text.
        Raises:
            ModelError: OpenVINO cannot load the graph.
        """
        if self._tokenizer is None:
            self._tokenizer = padding_tokenizer(tokenizer, max_tokens, self._padding)
        # The compiled graph's own request is one for all threads.
        request = self._compiled.create_infer_request()
        return embed_in_batches(
            lambda given: request.infer(given)[0],
            texts,
            self._tokenizer,
            self._dimension,
            progress=partial(progress, "embed passages"),
        )

    def unload(self) -> None:
        """Free the memory of graph and tokenizer until they are needed again."""
        self.__dict__.pop("_compiled", None)
        self._tokenizer = None

    @cached_property
    def _compiled(self) -> Any:
        import openvino

        try:
            return openvino.Core().compile_model(self.folder.parent / PASSAGE_GRAPH, "CPU")
        except RuntimeError as error:
            raise self._damaged(first_line(error)) from error

    @property
    def _dimension(self) -> int:
        return int(self._compiled.output(0).get_partial_shape()[1].get_length())

    def _damaged(self, why: str) -> ModelError:
        return ModelError(
            f"the graph in {self.folder} is damaged ({why}); write the model's folder again with "
            "`rag-app export openvino`, or delete that subfolder to embed passages with the weights"
        )


def find_graph(model: Path) -> PassageGraph | None:
    """The graph of a model's folder, if there is one; raises what `PassageGraph` raises."""
    return PassageGraph(model) if (model / PASSAGE_GRAPH).is_file() else None


def padding_tokenizer(
    tokenizer: "Tokenizer", max_tokens: int, padding: dict[str, Any]
) -> "Tokenizer":
    """A copy that cuts texts to what the model reads and pads them to the longest of a batch."""
    copy: Tokenizer = type(tokenizer).from_str(tokenizer.to_str())
    copy.enable_truncation(max_tokens)
    copy.enable_padding(**padding)
    return copy


def embed_in_batches(
    embed: Callable[[dict[str, Any]], Vectors],
    texts: Sequence[str],
    tokenizer: "Tokenizer",
    dimension: int,
    *,
    progress: Callable[[int, int], None],
) -> Vectors:
    """Embed texts by a graph: (n_texts, dimension) float32.

    Arguments:
        embed: inputs of a batch, as `tokens_of` makes them -> vectors.
        tokenizer: pads, as that of `padding_tokenizer`.
    """
    found = np.empty((len(texts), dimension), np.float32)
    # Texts of equal length waste no padding.
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        found[rows] = embed(tokens_of(tokenizer, [texts[row] for row in rows]))
        progress(min(start + BATCH_SIZE, len(order)), len(order))
    return found


def tokens_of(tokenizer: "Tokenizer", texts: Sequence[str]) -> dict[str, Any]:
    """Ids and attention mask of a batch, (n_texts, n_tokens) int64 each, by the graph's inputs."""
    encoded = tokenizer.encode_batch(list(texts))
    ids = np.array([one.ids for one in encoded], np.int64)
    mask = np.array([one.attention_mask for one in encoded], np.int64)
    return dict(zip(INPUTS, (ids, mask), strict=True))
