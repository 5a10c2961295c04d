"""An embedding model as LlamaIndex sees one, prompts included.

LlamaIndex's HuggingFaceEmbedding ignores the prompts that are saved in a model (0.8.0).
"""

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from rag_app.models.embedding import EmbeddingModel


class LlamaEmbedding(BaseEmbedding):
    """Hands LlamaIndex the vectors of an `EmbeddingModel`."""

    _model: EmbeddingModel = PrivateAttr()

    def __init__(self, model: EmbeddingModel, **kwargs: Any) -> None:
        super().__init__(model_name=model.name, **kwargs)
        self._model = model

    def _get_query_embedding(self, query: str) -> list[float]:
        return list(map(float, self._model.embed_queries([query])[0]))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return list(map(float, self._model.embed_passages([text])[0]))

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, vector)) for vector in self._model.embed_passages(texts)]
