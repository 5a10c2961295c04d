"""Several rankings of one question -> one."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from llama_index.core.schema import NodeWithScore

from rag_app.retrieve.trace import Ranking

# Cormack, Clarke and Büttcher, SIGIR 2009.
RANK_CONSTANT = 60


def fuse_scores(rankings: Sequence[Ranking], weights: Sequence[float], depth: int) -> Ranking:
    """Weighted sum of standardised scores.

    Each ranking's scores are brought to mean 0 and deviation 1 over all the passages that any
    ranking holds. A passage that a ranking lacks counts there as its last one; as 0 where the
    ranking ended before `depth`, since then it shares no word with the question. On four corpora
    this was as good as scoring every passage of the collection both ways.

    Arguments:
        weights: one for each ranking.
        depth: passages that each ranking was asked for.
    """
    nodes = _nodes(rankings, weights)
    return _ranked(nodes, standardised(rankings, list(nodes), depth) @ np.asarray(weights, float))


def standardised(
    rankings: Sequence[Ranking], ids: Sequence[str], depth: int
) -> npt.NDArray[np.float64]:
    """What `fuse_scores` adds up: (n_ids, n_rankings), each column of mean 0 and deviation 1.

    A column is 0 where its ranking is empty, or scores all of them alike.

    Arguments:
        ids: of all the passages that any ranking holds.
    """
    columns = [_standardised(ranking, ids, depth) for ranking in rankings]
    return np.array(columns, dtype=float).reshape(len(columns), len(ids)).T


def fuse_ranks(rankings: Sequence[Ranking], weights: Sequence[float], depth: int) -> Ranking:  # noqa: ARG001
    """Weighted reciprocal rank fusion: the sum of weight / (60 + rank); arguments as above."""
    nodes = _nodes(rankings, weights)
    total = np.zeros(len(nodes))
    place = {node_id: row for row, node_id in enumerate(nodes)}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, hit in enumerate(ranking, start=1):
            total[place[hit.node.node_id]] += weight / (RANK_CONSTANT + rank)
    return _ranked(nodes, total)


FUSIONS: dict[str, Callable[[Sequence[Ranking], Sequence[float], int], Ranking]] = {
    "scores": fuse_scores,
    "ranks": fuse_ranks,
}


def _nodes(rankings: Sequence[Ranking], weights: Sequence[float]) -> dict[str, NodeWithScore]:
    """All passages, those of the heaviest ranking first."""
    heaviest = sorted(zip(weights, rankings, strict=True), key=lambda pair: -pair[0])
    return {hit.node.node_id: hit for _, ranking in heaviest for hit in ranking}


def _standardised(ranking: Ranking, ids: Sequence[str], depth: int) -> np.ndarray:
    if not ranking:
        return np.zeros(len(ids))
    scores = {hit.node.node_id: float(hit.score or 0.0) for hit in ranking}
    least = min(scores.values())
    if len(scores) < depth:
        least = min(least, 0.0)
    values = np.array([scores.get(node_id, least) for node_id in ids])
    # The mean of equal scores may be off by a bit, which would be a deviation.
    if values.min() == values.max():
        return np.zeros(len(ids))
    result: np.ndarray = (values - values.mean()) / values.std()
    return result


def _ranked(nodes: dict[str, NodeWithScore], scores: np.ndarray) -> Ranking:
    """Best first; equal scores keep the order of the heaviest ranking."""
    hits = list(nodes.values())
    order = np.argsort(-scores, kind="stable")
    return [NodeWithScore(node=hits[row].node, score=float(scores[row])) for row in order]
