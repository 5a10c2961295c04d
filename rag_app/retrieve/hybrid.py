"""Several views of a passage, fused: searches by meaning and by words, scores of their finds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from llama_index.core.schema import NodeWithScore

from rag_app.retrieve.fusion import FUSIONS
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed


class Scorer(Protocol):
    """A view of a passage that finds none, and scores what others found."""

    def score(self, candidates: Sequence[Ranking], traces: Sequence[Trace]) -> list[Ranking]:
        """The candidates of each question, best first."""
        ...


class HybridRetriever(TracedRetriever):
    """Fuses the candidates of several retrievers.

    Arguments:
        finders: retrievers, each made to return `depth` candidates.
        scorers: score all that the finders found.
        weights: of the finders, then of the scorers.
        depth: candidates that are returned.
        fusion: "scores" (standardised, weighted) or "ranks" (weighted reciprocal ranks).
    """

    def __init__(
        self,
        finders: Sequence[TracedRetriever],
        *,
        weights: Sequence[float],
        depth: int,
        fusion: str = "scores",
        scorers: Sequence[Scorer] = (),
    ) -> None:
        self.finders = finders
        self.scorers = scorers
        self.weights = weights
        self.depth = depth
        self.fuse = FUSIONS[fusion]
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Ask all and fuse. A side without weight only adds what the others did not find."""
        views = self.views(traces)
        with timed(traces, "hybrid") as rankings:
            rankings += [
                self.fuse(rankings_of_one, self.weights, self.depth)[: self.depth]
                for rankings_of_one in zip(*views, strict=True)
            ]
        return rankings

    def views(self, traces: Sequence[Trace]) -> list[list[Ranking]]:
        """What each finder, then each scorer, makes of each question."""
        found = [finder.rank(traces) for finder in self.finders]
        candidates = [_union(rankings) for rankings in zip(*found, strict=True)]
        return [*found, *(scorer.score(candidates, traces) for scorer in self.scorers)]


def rescored(hits: Ranking, score: Callable[[Sequence[str]], Mapping[str, float]]) -> Ranking:
    """These passages by another score, best first; those without one are left out.

    Arguments:
        score: chunk ids -> the scores of those that have one.
    """
    nodes = {hit.node.node_id: hit.node for hit in hits}
    scores = score(list(nodes))
    order = sorted(scores, key=lambda chunk_id: -scores[chunk_id])
    return [NodeWithScore(node=nodes[i], score=scores[i]) for i in order]


def _union(rankings: Sequence[Ranking]) -> Ranking:
    """Every passage of these rankings once."""
    return list({hit.node.node_id: hit for ranking in rankings for hit in ranking}.values())
