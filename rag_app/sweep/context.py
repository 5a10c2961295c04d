"""What a ranking costs to read, and what is found for that price."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rag_app.chunks import PassageModel, passage_text
from rag_app.errors import LanguageModelError
from rag_app.evaluate.scoring import Outcome, score_questions
from rag_app.progress import Progress, silent
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever

if TYPE_CHECKING:
    from rag_app.pairs import Question
# Passages of a ranking that are looked at: of short answers many go into a budget.
DEPTH = 50


def budget_metric(budget_tokens: int) -> str:
    """Name of the metric: the answer is among the first passages that fit into the budget."""
    return f"hit_rate@{budget_tokens}t"


def score_with_budget(
    retriever: TracedRetriever,
    questions: "Sequence[Question]",
    model: "PassageModel",
    *,
    budget_tokens: int,
    progress: Progress = silent,
) -> list[Outcome]:
    """As `score_questions`, with one more metric: a hit within a budget of context.

    Passages are taken whole, best first, as long as they fit: chunk sizes are compared by what
    they cost to read.

    Arguments:
        retriever: returns up to DEPTH passages.
        model: its tokens are counted.
    Raises:
        LanguageModelError: a question could not be rewritten, so that plain questions would be
            scored under the name of rewritten ones.
    """
    counting = _Counting(retriever, model)
    outcomes = score_questions(counting, questions, depth=DEPTH, progress=progress)
    name = budget_metric(budget_tokens)
    return [
        replace(outcome, values={**outcome.values, name: _within(outcome, tokens, budget_tokens)})
        for outcome, tokens in zip(outcomes, counting.tokens, strict=True)
    ]


def _within(outcome: Outcome, tokens: Sequence[int], budget_tokens: int) -> float:
    return float(outcome.rank is not None and sum(tokens[: outcome.rank]) <= budget_tokens)


class _Counting(TracedRetriever):
    """Passes rankings on and keeps the tokens of each of their passages."""

    def __init__(self, retriever: TracedRetriever, model: "PassageModel") -> None:
        self._retriever = retriever
        self._model = model
        self.tokens: list[list[int]] = []
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        rankings = self._retriever.rank(traces)
        if failed := [trace.warnings[0] for trace in traces if trace.warnings]:
            raise LanguageModelError(
                f"{len(failed)} of {len(traces)} questions could not be rewritten: {failed[0]}; "
                "sweep again: what was written is kept"
            )
        texts = sorted({passage_text(hit.node) for ranking in rankings for hit in ranking})
        count = dict(zip(texts, self._model.count_tokens(texts), strict=True))
        self.tokens = [[count[passage_text(hit.node)] for hit in ranking] for ranking in rankings]
        return rankings
