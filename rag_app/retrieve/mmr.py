"""Diversity: of passages that say the same, one (Carbonell and Goldstein, SIGIR 1998)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import PrivateAttr

from rag_app.vectors import Vectors

VectorsOf = Callable[[Sequence[str]], Vectors]


class MaximalMarginalRelevance(BaseNodePostprocessor):
    """Picks, one after the other, the candidate that is most relevant and least like those picked.

    A candidate's worth is `relevance * r - (1 - relevance) * s`: r its score, brought to 0..1 over
    the candidates, and s the largest cosine with a passage that was picked before.

    Arguments:
        relevance: between 0 (only diversity) and 1 (the ranking as it was).
        vectors_of: chunk ids -> their vectors, (n, dim) unit length.
        top_k: passages to pick.
    """

    relevance: float
    top_k: int
    _vectors_of: Any = PrivateAttr()

    def __init__(self, *, relevance: float, top_k: int, vectors_of: VectorsOf) -> None:
        super().__init__(relevance=relevance, top_k=top_k)
        self._vectors_of = vectors_of

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return "MaximalMarginalRelevance"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if len(nodes) < 2:
            return nodes
        vectors = self._vectors_of([hit.node.node_id for hit in nodes])
        worth = self.relevance * _to_unit(np.array([float(hit.score or 0.0) for hit in nodes]))
        likeness = np.zeros(len(nodes))
        left = np.ones(len(nodes), dtype=bool)
        picked: list[NodeWithScore] = []
        while len(picked) < min(self.top_k, len(nodes)):
            values = np.where(left, worth - (1 - self.relevance) * likeness, -np.inf)
            best = int(values.argmax())
            left[best] = False
            picked.append(NodeWithScore(node=nodes[best].node, score=float(values[best])))
            likeness = np.maximum(likeness, vectors @ vectors[best])
        return picked


def _to_unit(scores: np.ndarray) -> np.ndarray:
    spread = scores.max() - scores.min()
    return (scores - scores.min()) / spread if spread > 0 else np.ones(len(scores))
