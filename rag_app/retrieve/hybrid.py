"""Meaning and words together: a vector search and a keyword search, fused."""

from collections.abc import Sequence

from rag_app.retrieve.fusion import FUSIONS
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed


class HybridRetriever(TracedRetriever):
    """Fuses the candidates of two retrievers.

    Arguments:
        weight: of the vector search, between 0 and 1; the keyword search has the rest.
        depth: candidates that each of them was made to return, and that are returned.
        fusion: "scores" (standardised, weighted) or "ranks" (weighted reciprocal ranks).
    """

    def __init__(
        self,
        dense: TracedRetriever,
        keyword: TracedRetriever,
        *,
        weight: float,
        depth: int,
        fusion: str = "scores",
    ) -> None:
        self.dense = dense
        self.keyword = keyword
        self.weights = (weight, 1 - weight)
        self.depth = depth
        self.fuse = FUSIONS[fusion]
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Ask both and fuse. A side without weight only adds what the other did not find."""
        found = [self.dense.rank(traces), self.keyword.rank(traces)]
        with timed(traces, "hybrid") as rankings:
            rankings += [
                self.fuse(pair, self.weights, self.depth)[: self.depth]
                for pair in zip(*found, strict=True)
            ]
        return rankings
