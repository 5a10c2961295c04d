"""Candidates read again, each together with the question, by a cross-encoder."""

from collections.abc import Sequence
from typing import Any, Protocol

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import PrivateAttr

from rag_app.chunks import passage_text
from rag_app.vectors import Vectors


class PairScorer(Protocol):
    """Reads a question and a passage together; `rag_app.models.cross_encoder.CrossEncoder` does."""

    def score(self, question: str, passages: Sequence[str]) -> Vectors:
        """How well each passage answers the question, higher is better: (n_passages,) float32."""
        ...


class CrossEncoderRerank(BaseNodePostprocessor):
    """Sorts all candidates by a cross-encoder's score; how many there are is the caller's choice.

    LlamaIndex's SentenceTransformerRerank keeps two unless told, reads 512 tokens of any model and
    runs a model folder's own code.
    """

    _encoder: Any = PrivateAttr()

    def __init__(self, encoder: PairScorer) -> None:
        super().__init__()
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return "CrossEncoderRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if not nodes or query_bundle is None:
            return nodes
        texts = [passage_text(hit.node) for hit in nodes]
        scores = self._encoder.score(query_bundle.query_str, texts)
        scored = [
            NodeWithScore(node=hit.node, score=float(score))
            for hit, score in zip(nodes, scores, strict=True)
        ]
        return sorted(scored, key=lambda hit: -float(hit.score or 0.0))
