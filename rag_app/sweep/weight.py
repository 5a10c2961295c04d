"""The weights of a hybrid that serve these questions best."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rag_app.evaluate.learning import FIXED_WEIGHTS, learn_fusion
from rag_app.evaluate.ranks import first_rank, reciprocal
from rag_app.retrieve import Searched, Tools, Trace, build_retriever, rank_views
from rag_app.retrieve.fusion import FUSIONS
from rag_app.retrieve.learned import VECTOR
from rag_app.retrieve.options import RetrievalOptions

if TYPE_CHECKING:
    from rag_app.pairs import Question
    from rag_app.retrieve.trace import Ranking

COUNTED = 10


def tune_weight(
    searched: Searched, options: RetrievalOptions, questions: "Sequence[Question]", tools: Tools
) -> float:
    """The weight with the best MRR@10 on these questions, of 0, .1, ... 1.

    Both searches are asked once; only the fusion is repeated.

    Arguments:
        questions: dev questions, which the verdict does not rest on.
    """
    sides = []
    for kind in ("vector", "keyword"):
        plain = RetrievalOptions(kind, fetch_k=options.fetch_k, where=options.where)
        retriever = build_retriever(searched, plain, top_k=options.fetch_k, tools=tools)
        sides.append(retriever.rank([Trace(question.text) for question in questions]))
    pairs = list(zip(*sides, strict=True))
    fuse = FUSIONS[options.fusion]

    def mrr(weight: float) -> float:
        fused = [fuse(pair, (weight, 1 - weight), options.fetch_k) for pair in pairs]
        return sum(map(_reciprocal_rank, fused, questions))

    return max(FIXED_WEIGHTS, key=mrr)


def learn_weights(
    searched: Searched,
    options: RetrievalOptions,
    questions: "Sequence[Question]",
    tools: Tools,
    *,
    seed: int,
) -> tuple[RetrievalOptions, str]:
    """The options with learned weights, or with a fixed one where these are not certainly better.

    Returns:
        the options, and a sentence that says what came of it.
    """
    traces = [Trace(question.text) for question in questions]
    views = rank_views(searched, options, traces, tools=tools)
    learned = learn_fusion(
        views, questions, depth=options.fetch_k, learned_on="rag-app sweep", seed=seed
    )
    if learned.certain:
        return replace(options, learned=learned), learned.reason
    weight = learned.weights.get(VECTOR, 0.0)
    return replace(options, fusion="scores", hybrid_weight=weight), learned.reason


def _reciprocal_rank(ranking: "Ranking", question: "Question") -> float:
    right = frozenset().union(*question.gold)
    return reciprocal(first_rank((hit.node.node_id for hit in ranking[:COUNTED]), right))
