"""Nearest chunks by the index's own (approximate) search: what the REPL asks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

if TYPE_CHECKING:
    from rag_app.index import VectorIndex
    from rag_app.models import EmbeddingModel


class VectorRetriever(BaseRetriever):
    """Embeds the question with the index's model and asks Chroma.

    Arguments:
        top_k: nodes to return; all of them where the index holds fewer.
    Raises:
        IndexMismatch: the model is not the one that made the index.
    """

    def __init__(self, index: "VectorIndex", model: "EmbeddingModel", *, top_k: int) -> None:
        index.check_model(model)
        self.index = index
        self.model = model
        self.top_k = top_k
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle, **_: Any) -> list[NodeWithScore]:
        return self.retrieve_many([query_bundle.query_str])[0]

    def retrieve_many(self, queries: Sequence[str]) -> list[list[NodeWithScore]]:
        """Retrieve for many questions, embedding them in batches."""
        top_k = min(self.top_k, self.index.count())
        if top_k == 0:
            return [[] for _ in queries]
        vectors = self.model.embed_queries(queries)
        return [self.index.search(vector, top_k=top_k) for vector in vectors]
