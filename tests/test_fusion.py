"""Fused rankings against sums that are worked out by hand."""

from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np
import pytest
from llama_index.core.schema import NodeWithScore, TextNode

from rag_app.retrieve.fusion import FUSIONS, fuse_ranks, fuse_scores
from rag_app.retrieve.hybrid import HybridRetriever
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed

Fuse = Callable[[Sequence[Ranking], Sequence[float], int], Ranking]


def ranking(**scores: float) -> Ranking:
    """Passages by name, in the order in which they are given."""
    return [
        NodeWithScore(node=TextNode(id_=name, text=f"text of {name}"), score=score)
        for name, score in scores.items()
    ]


def names(hits: Ranking) -> str:
    return "".join(hit.node.node_id for hit in hits)


def scores(hits: Ranking) -> dict[str, float]:
    return {hit.node.node_id: hit.score for hit in hits}


# Standardised scores


def test_scores_by_hand() -> None:
    # Missing passages count as the last: 3, 1, 1 has mean 5/3 and deviation 2 sqrt(2) / 3, so that
    # a, b, c are at sqrt(2) times 1, -1/2, -1/2 in the one list and -1/2, 1, -1/2 in the other.
    dense, keyword = ranking(a=3, b=1), ranking(b=5, c=1)
    fused = fuse_scores([dense, keyword], (3 / 4, 1 / 4), 2)
    assert names(fused) == "abc"
    root = sqrt(2)
    expected = {"a": (3 / 4 - 1 / 8) * root, "b": (1 / 4 - 3 / 8) * root, "c": -root / 2}
    assert scores(fused) == pytest.approx(expected)


def test_a_list_that_ended_early_gives_nothing_to_what_it_lacks() -> None:
    dense, keyword = ranking(a=3, b=1), ranking(b=3)
    # 3 for b and 0 for a: one deviation above and below the mean.
    early = fuse_scores([dense, keyword], (0.7, 0.3), 2)
    assert scores(early) == pytest.approx({"a": 0.7 - 0.3, "b": 0.3 - 0.7})
    # Asked for one passage, the list did not end: a may be nearly as good, and nothing is said.
    full = fuse_scores([dense, keyword], (0.7, 0.3), 1)
    assert scores(full) == pytest.approx({"a": 0.7, "b": -0.7})


def test_what_a_list_of_negative_scores_lacks_is_not_better_than_its_last() -> None:
    assert names(fuse_scores([ranking(a=-1, b=-2), ranking(c=9)], (1, 0), 5)) == "abc"


@pytest.mark.parametrize("score", [0.0, 0.1, 7.0])
def test_equal_scores_say_nothing(score: float) -> None:
    # 0.1 + 0.1 + 0.1 is not 3 x 0.1, so that the mean is off by a bit.
    same, other = ranking(a=score, b=score, c=score), ranking(c=3, b=1)
    assert scores(fuse_scores([same], [1], 3)) == {"a": 0, "b": 0, "c": 0}
    # 3, 1, 1: as above.
    fused = fuse_scores([same, other], (0.9, 0.1), 2)
    assert names(fused) == "cab"
    assert fused[0].score == pytest.approx(sqrt(2) / 10)


def test_the_scale_of_scores_does_not_count() -> None:
    keyword = ranking(b=5, d=3, a=2)
    plain, moved = ranking(a=4, b=3, c=1), ranking(a=44, b=34, c=14)  # 10 x + 4
    left = fuse_scores([plain, keyword], (0.6, 0.4), 3)
    right = fuse_scores([moved, keyword], (0.6, 0.4), 3)
    assert names(left) == names(right)
    assert scores(left) == pytest.approx(scores(right))


def test_a_missing_score_is_zero() -> None:
    unscored = [NodeWithScore(node=TextNode(id_="b", text="b"))]
    # 2 and 0: one deviation above and below.
    assert scores(fuse_scores([ranking(a=2) + unscored], [1], 2)) == {"a": 1, "b": -1}


# Reciprocal ranks


def test_ranks_by_hand() -> None:
    dense, keyword = ranking(a=0.9, b=0.1), ranking(b=99, c=1)
    even = fuse_ranks([dense, keyword], (1 / 2, 1 / 2), 2)
    assert names(even) == "bac"
    expected = {"a": 1 / 2 / 61, "b": 1 / 2 / 62 + 1 / 2 / 61, "c": 1 / 2 / 62}
    assert scores(even) == pytest.approx(expected)


def test_weights_of_ranks_count() -> None:
    pair = [ranking(a=2, b=1), ranking(c=2, d=1)]
    # 2/3 of 1/62 is more than 1/3 of 1/61.
    assert names(fuse_ranks(pair, (2 / 3, 1 / 3), 2)) == "abcd"
    assert names(fuse_ranks(pair, (1 / 3, 2 / 3), 2)) == "cdab"
    assert scores(fuse_ranks(pair, (1, 0), 2)) == {"a": 1 / 61, "b": 1 / 62, "c": 0, "d": 0}


# Both


@pytest.mark.parametrize("fuse", FUSIONS.values(), ids=FUSIONS)
def test_nothing_in_nothing_out(fuse: Fuse) -> None:
    assert fuse([], [], 5) == fuse([[], []], (0.5, 0.5), 5) == []


@pytest.mark.parametrize("fuse", FUSIONS.values(), ids=FUSIONS)
def test_an_empty_ranking_leaves_the_other_its_order(fuse: Fuse) -> None:
    one = ranking(b=3, a=2, c=2)
    for weight in (0, 0.3, 1):
        assert names(fuse([one, []], (weight, 1 - weight), 5)) == "bac"
        assert names(fuse([[], one], (weight, 1 - weight), 5)) == "bac"


@pytest.mark.parametrize("fuse", FUSIONS.values(), ids=FUSIONS)
def test_what_is_fused_is_not_changed(fuse: Fuse) -> None:
    dense, keyword = ranking(a=3, b=1), ranking(b=5, c=1)
    fuse([dense, keyword], (0.5, 0.5), 2)
    assert (scores(dense), scores(keyword)) == ({"a": 3, "b": 1}, {"b": 5, "c": 1})


@pytest.mark.parametrize("fuse", FUSIONS.values(), ids=FUSIONS)
def test_equal_sums_go_by_the_heavier_ranking(fuse: Fuse) -> None:
    left, right = ranking(a=2, b=1), ranking(b=2, a=1)
    assert names(fuse([left, right], (1 / 2, 1 / 2), 2)) == "ab"
    tied = [ranking(a=1, b=1, c=1), ranking(c=1, b=1, a=1)]
    assert names(fuse(tied, (0, 1), 3)) == "cba"
    assert names(fuse(tied, (1, 0), 3)) == "abc"


def drawn(draw: np.random.Generator, depth: int) -> Ranking:
    """A ranking of up to `depth` out of 12 passages with few different scores, so with ties."""
    chosen = draw.permutation(list("abcdefghijkl"))[: draw.integers(0, depth, endpoint=True)]
    values = sorted(draw.integers(-2, 4, len(chosen)).tolist(), reverse=True)
    return ranking(**dict(zip(chosen.tolist(), values, strict=True)))


@pytest.mark.parametrize("fuse", FUSIONS.values(), ids=FUSIONS)
def test_a_side_with_all_the_weight_keeps_its_order_on_drawn_rankings(fuse: Fuse) -> None:
    draw = np.random.default_rng(3)
    for _ in range(300):
        depth = int(draw.integers(1, 9))
        left, right = drawn(draw, depth), drawn(draw, depth)
        both = set(names(left)) | set(names(right))
        for weights, better in (((1, 0), left), ((0, 1), right)):
            fused = names(fuse([left, right], weights, depth))
            assert fused.startswith(names(better))
            assert set(fused) == both
            assert len(fused) == len(both)


# Taking turns


# The retriever


class Fixed(TracedRetriever):
    """Finds the same for every question."""

    def __init__(self, name: str, found: Ranking) -> None:
        self.name = name
        self.found = found
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        with timed(traces, self.name) as rankings:
            rankings += [self.found for _ in traces]
        return rankings


def hybrid(weight: float, *, depth: int = 4, fusion: str = "scores") -> HybridRetriever:
    dense, keyword = ranking(a=0.9, b=0.5, c=0.3, d=0.1), ranking(x=9, b=8, y=7, z=6)
    return HybridRetriever(
        [Fixed("vector", dense), Fixed("keyword", keyword)],
        weights=(weight, 1 - weight),
        depth=depth,
        fusion=fusion,
    )


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_hybrid_of_one_side_returns_that_side(fusion: str) -> None:
    assert names(hybrid(1, fusion=fusion).retrieve("?")) == "abcd"
    assert names(hybrid(0, fusion=fusion).retrieve("?")) == "xbyz"


def test_a_hybrid_returns_as_many_as_it_was_asked_for_and_explains_them() -> None:
    first, second = Trace("one?"), Trace("two?")
    found = hybrid(0.5, depth=3).rank([first, second])
    assert [names(hits) for hits in found] == [names(found[0])] * 2
    assert len(found[0]) == 3
    assert found[0][0].node.node_id == "b"
    for trace in (first, second):
        assert [step.name for step in trace.steps] == ["vector", "keyword", "hybrid"]
        assert [step.rank("b") for step in trace.steps] == [2, 2, 1]
        assert [step.rank("a") for step in trace.steps][:2] == [1, None]
        assert list(trace.steps[2].scores) == list(names(found[0]))
        assert all(step.seconds >= 0 for step in trace.steps)
