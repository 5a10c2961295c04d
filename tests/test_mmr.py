"""Diversity by hand, with vectors in the plane."""

from collections.abc import Sequence

import numpy as np
import pytest
from llama_index.core.schema import NodeWithScore, TextNode

from rag_app.retrieve.mmr import MaximalMarginalRelevance
from rag_app.vectors import Vectors

EAST, NORTH, WEST = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)
BETWEEN = (0.8, 0.6)
Candidate = tuple[str, float, tuple[float, float]]


def picked(
    *candidates: Candidate, relevance: float, top_k: int = 9
) -> list[tuple[str, float | None]]:
    """Ids and scores of what is picked from (id, score, vector), best first."""
    places = {name: place for name, _, place in candidates}

    def vectors_of(chunk_ids: Sequence[str]) -> Vectors:
        return np.array([places[chunk_id] for chunk_id in chunk_ids], dtype=np.float32)

    mmr = MaximalMarginalRelevance(relevance=relevance, top_k=top_k, vectors_of=vectors_of)
    nodes = [
        NodeWithScore(node=TextNode(id_=name, text=name), score=score)
        for name, score, _ in candidates
    ]
    return [(hit.node.node_id, hit.score) for hit in mmr.postprocess_nodes(nodes)]


def order(*candidates: Candidate, relevance: float, top_k: int = 9) -> str:
    return "".join(name for name, _ in picked(*candidates, relevance=relevance, top_k=top_k))


def test_by_hand() -> None:
    # Scores 7, 6, 2 are 1, 4/5 and 0 of the way from the last to the first; b says what a says.
    found = picked(("a", 7, EAST), ("b", 6, EAST), ("c", 2, NORTH), relevance=1 / 2)
    assert [name for name, _ in found] == ["a", "c", "b"]
    # a: 1/2 of 1. c: 0 and like nothing. b: 1/2 of 4/5, less 1/2 of its cosine of 1.
    assert [score for _, score in found] == pytest.approx([1 / 2, 0, -1 / 10])


def test_the_nearest_of_those_picked_counts() -> None:
    # d is like a by 4/5 and like b, which is picked after it, by 3/5 only.
    candidates: list[Candidate] = [
        ("a", 1, EAST),
        ("b", 1, NORTH),
        ("c", 1, WEST),
        ("d", 1, BETWEEN),
    ]
    found = picked(*candidates, relevance=1 / 2)
    # All scores are equal, so each has the relevance of 1, and 1/2 of it.
    assert [name for name, _ in found] == ["a", "b", "c", "d"]
    assert [score for _, score in found] == pytest.approx([1 / 2, 1 / 2, 1 / 2, 1 / 2 - 4 / 10])


def test_relevance_alone_is_the_ranking_as_it_was() -> None:
    same = [(name, score, EAST) for name, score in zip("abcde", (5, 4, 4, 3, 1), strict=True)]
    assert order(*same, relevance=1) == "abcde"
    # 5, 4, 4, 3, 1: 4/4, 3/4, 3/4, 2/4, 0/4 of the way.
    assert [score for _, score in picked(*same, relevance=1)] == [1, 3 / 4, 3 / 4, 1 / 2, 0]


def test_diversity_alone_begins_with_the_best() -> None:
    found = picked(("a", 9, EAST), ("b", 8, BETWEEN), ("c", 1, NORTH), relevance=0)
    assert [name for name, _ in found] == ["a", "c", "b"]
    assert [score for _, score in found] == pytest.approx([0, 0, -4 / 5])


def test_the_opposite_is_no_better_than_the_unlike() -> None:
    # A cosine of -1 counts as 0, else what is far from everything would win.
    assert order(("a", 3, EAST), ("b", 2, NORTH), ("c", 1, WEST), relevance=1 / 2) == "abc"


def test_a_copy_that_scores_almost_as_well_goes_behind() -> None:
    copies: list[Candidate] = [(name, 1 - n / 100, EAST) for n, name in enumerate("abc")]
    assert order(*copies, ("x", 0.5, NORTH), relevance=0.4)[:2] == "ax"


def test_as_many_as_asked_for_and_the_same_ones_first() -> None:
    candidates: list[Candidate] = [("a", 7, EAST), ("b", 6, EAST), ("c", 2, NORTH), ("d", 1, WEST)]
    whole = order(*candidates, relevance=0.5)
    assert sorted(whole) == list("abcd")
    for k in range(1, 5):
        assert order(*candidates, relevance=0.5, top_k=k) == whole[:k]


def test_scores_never_rise() -> None:
    draw = np.random.default_rng(5)
    for relevance in (0.0, 0.3, 0.7, 1.0):
        turns = draw.uniform(0, 2 * np.pi, 30)
        candidates: list[Candidate] = [
            (f"{n}", score, (float(np.cos(turn)), float(np.sin(turn))))
            for n, (turn, score) in enumerate(
                zip(turns, -np.sort(-draw.normal(size=30)), strict=True)
            )
        ]
        scores = [float(score or 0) for _, score in picked(*candidates, relevance=relevance)]
        assert np.all(np.diff(scores) <= 1e-6)


def test_the_scale_of_scores_does_not_count() -> None:
    names, turns = "abcdef", (EAST, EAST, BETWEEN, NORTH, WEST, NORTH)
    scores = (9.0, 8.0, 8.0, 6.0, 3.0, 1.0)
    plain = list(zip(names, scores, turns, strict=True))
    moved = list(zip(names, (s / 1000 - 5 for s in scores), turns, strict=True))
    assert order(*plain, relevance=0.6) == order(*moved, relevance=0.6)


def test_one_or_none_is_left_as_it_is() -> None:
    assert picked(relevance=0.5) == []
    assert picked(("a", 0.3, EAST), relevance=0.5) == [("a", 0.3)]
