"""An embedding model as LlamaIndex sees one: prompts and the query adapter included.

LlamaIndex's HuggingFaceEmbedding passes over the prompts that are saved in a model, and its
`encode` over the query adapter (0.8.0).
"""

from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from rag_app.models.loading import as_embedder
from rag_app.vectors import Embedder, as_lists


class Embedding(BaseEmbedding):
    """A LlamaIndex `BaseEmbedding` with the vectors that rag_app indexes, tunes and judges by.

    Arguments:
        model: a sentence-transformers folder (such as the one that `finetune` made), the name of a
            model, or an `Embedder`.
        storage: where models are looked for by name.
        device: "auto", "cpu", "cuda" or "mps".
        offline: never ask the Hugging Face hub.
    Raises:
        ModelError: the model cannot be found or loaded.

    >>> embedding = Embedding("sentence-transformers/all-MiniLM-L6-v2")
    >>> len(embedding.get_query_embedding("how long does delivery take"))
    384
    """

    _model: Embedder = PrivateAttr()

    def __init__(
        self,
        model: str | Path | Embedder,
        *,
        storage: str | Path = "storage",
        device: str = "auto",
        offline: bool = True,
        **options: Any,
    ) -> None:
        embedder = as_embedder(model, storage=Path(storage), offline=offline, device=device)
        super().__init__(model_name=embedder.name, **options)
        self._model = embedder

    def _get_query_embedding(self, query: str) -> list[float]:
        return as_lists(self._model.embed_queries([query]))[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return as_lists(self._model.embed_passages(texts))
