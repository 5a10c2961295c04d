"""Nearest chunks by comparing with every vector: the reference that evaluation is scored on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from rag_app.models.embedding import Vectors

if TYPE_CHECKING:
    from rag_app.index import Passages, VectorCache
    from rag_app.models import EmbeddingModel

# Questions compared at once: 256 x 100,000 chunks are 100 MB of scores.
QUERY_BATCH = 256


class ExactRetriever(BaseRetriever):
    """Cosine against all passages; equal scores keep the passages' order, so results repeat."""

    def __init__(
        self,
        passages: "Passages",
        model: "EmbeddingModel",
        *,
        top_k: int,
        cache: "VectorCache | None" = None,
    ) -> None:
        self.passages = passages
        self.model = model
        self.top_k = top_k
        self.cache = cache
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle, **_: Any) -> list[NodeWithScore]:
        return self.retrieve_many([query_bundle.query_str])[0]

    def retrieve_many(self, queries: Sequence[str]) -> list[list[NodeWithScore]]:
        """Retrieve for many questions, embedding them in batches, once per model with a cache."""
        if self.cache is None:
            vectors = self.model.embed_queries(queries)
        else:
            vectors = self.cache.embed_queries(self.model, queries)
        rows, scores = nearest(vectors, self.passages.vectors, self.top_k)
        nodes = self.passages.nodes
        return [
            [NodeWithScore(node=nodes[i], score=float(s)) for i, s in zip(*pair, strict=True)]
            for pair in zip(rows, scores, strict=True)
        ]


def nearest(queries: Vectors, passages: Vectors, top_k: int) -> tuple[np.ndarray, Vectors]:
    """The `top_k` best passages of each query, best first.

    Arguments:
        queries: (n_queries, dim) float32, unit length.
        passages: (n_passages, dim) float32, unit length.
    Returns:
        rows (n_queries, k) int64 and cosines (n_queries, k), k = min(top_k, n_passages).
    """
    k = min(top_k, len(passages))
    rows = np.empty((len(queries), k), dtype=np.int64)
    best = np.empty((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), QUERY_BATCH):
        scores = queries[start : start + QUERY_BATCH] @ passages.T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        rows[start : start + QUERY_BATCH] = order
        best[start : start + QUERY_BATCH] = np.take_along_axis(scores, order, axis=1)
    return rows, best
