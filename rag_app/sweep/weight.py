"""The share of the vector search in a hybrid that serves these questions best."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rag_app.evaluate.learning import FIXED_WEIGHTS, best_of
from rag_app.evaluate.scoring import LARGEST_K
from rag_app.retrieve import Searched, Tools, Trace, build_retriever
from rag_app.retrieve.fusion import FUSIONS
from rag_app.retrieve.options import RetrievalOptions

if TYPE_CHECKING:
    from rag_app.pairs import Question


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

    answers = [frozenset().union(*question.gold) for question in questions]

    def right(weights: tuple[float, float]) -> Iterator[list[bool]]:
        for pair, wanted in zip(pairs, answers, strict=True):
            best = fuse(pair, weights, options.fetch_k)[:LARGEST_K]
            yield [hit.node.node_id in wanted for hit in best]

    return best_of({weight: (weight, 1 - weight) for weight in FIXED_WEIGHTS}, right)
