"""Outcomes of a question that several folds asked: told apart while judged, once where compared."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rag_app.evaluate.scoring import Outcome


def of_fold(outcomes: Iterable[Outcome], number: int) -> list[Outcome]:
    """Outcomes with ids that no other fold has: the fold's number before the question's own."""
    return [replace(outcome, question_id=f"{number} {outcome.question_id}") for outcome in outcomes]


def each_once(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Of a question that several folds asked, its first outcome under its own id."""
    first: dict[str, Outcome] = {}
    for outcome in outcomes:
        own = outcome.question_id.rpartition(" ")[2]
        first.setdefault(own, replace(outcome, question_id=own))
    return list(first.values())
