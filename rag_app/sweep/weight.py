"""The share of the vector search in a hybrid that serves these questions best."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_app.evaluate.learning import FIXED_WEIGHTS
from rag_app.evaluate.ranks import first_rank, reciprocal
from rag_app.retrieve import Searched, Tools, Trace, build_retriever
from rag_app.retrieve.fusion import FUSIONS
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


def _reciprocal_rank(ranking: "Ranking", question: "Question") -> float:
    right = frozenset().union(*question.gold)
    return reciprocal(first_rank((hit.node.node_id for hit in ranking[:COUNTED]), right))
