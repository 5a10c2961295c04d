"""Nearest chunks by comparing with every vector: the reference that evaluation is scored on."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from llama_index.core.schema import NodeWithScore

from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed
from rag_app.vectors import Vectors, nearest

if TYPE_CHECKING:
    from rag_app.index import Passages, VectorCache
    from rag_app.retrieve.filters.where import Where
    from rag_app.vectors import Embedder


class ExactRetriever(TracedRetriever):
    """Cosine against all passages; equal scores keep the passages' order, so results repeat.

    Arguments:
        cache: keeps the questions' vectors, so that they are embedded once per model.
        where: only passages that match are compared with.
    """

    def __init__(
        self,
        passages: "Passages",
        model: "Embedder",
        *,
        top_k: int,
        cache: "VectorCache | None" = None,
        where: "Where | None" = None,
    ) -> None:
        self.nodes, self.vectors = passages.nodes, passages.vectors
        if where is not None:
            rows = [row for row, node in enumerate(self.nodes) if where.matches_node(node)]
            self.nodes, self.vectors = [self.nodes[row] for row in rows], self.vectors[rows]
        self.model = model
        self.top_k = top_k
        self.cache = cache
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Embed the questions in batches and compare."""
        with timed(traces, "vector") as rankings:
            vectors = embed_questions(traces, self.model, self.cache)
            rows, scores = nearest(vectors, self.vectors, self.top_k)
            rankings += [
                [NodeWithScore(node=self.nodes[i], score=float(s)) for i, s in zip(*p, strict=True)]
                for p in zip(rows, scores, strict=True)
            ]
        return rankings


def embed_questions(
    traces: Sequence[Trace], model: "Embedder", cache: "VectorCache | None"
) -> Vectors:
    """Vectors of what is asked, (n_questions, dim); what reads like a passage, embedded as one.

    Each is embedded once, however many parts of a retrieval ask for it.
    """
    key = model.fingerprint
    for as_passage in (False, True):
        new = [one for one in traces if one.as_passage is as_passage and key not in one.vectors]
        if new:
            embed = _embedder(model, cache, as_passage=as_passage)
            for trace, vector in zip(new, embed([one.question for one in new]), strict=True):
                trace.vectors[key] = vector
    found = [trace.vectors[key] for trace in traces]
    return np.array(found, np.float32).reshape(len(traces), model.dimension)


def _embedder(
    model: "Embedder", cache: "VectorCache | None", *, as_passage: bool
) -> Callable[[Sequence[str]], Vectors]:
    if cache is None:
        return model.embed_passages if as_passage else model.embed_queries
    return partial(cache.embed_passages if as_passage else cache.embed_queries, model)
