"""Outcomes of a question that several folds asked: told apart while judged, once where compared."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rag_app.evaluate.scoring import Outcome


def of_fold(outcomes: Iterable[Outcome], number: int) -> list[Outcome]:
    """Outcomes with ids that no other fold has: the fold's number before the question's own."""
    return [replace(outcome, question_id=f"{number} {outcome.question_id}") for outcome in outcomes]


def fold_numbers(outcomes: Iterable[Outcome]) -> dict[str, int] | None:
    """Id -> number of its fold; None where the outcomes are of one split."""
    folds = [(one.question_id, one.question_id.rpartition(" ")[0]) for one in outcomes]
    return {name: int(fold) for name, fold in folds} if folds and folds[0][1] else None


def own_id(question_id: str) -> str:
    """A question's id without its fold's number."""
    return question_id.rpartition(" ")[2]


def how_many(outcomes: Iterable[Outcome]) -> int:
    """How many questions, each counted once however many folds asked it."""
    return len({own_id(outcome.question_id) for outcome in outcomes})


def each_once(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Of a question that several folds asked, its first outcome under its own id."""
    first: dict[str, Outcome] = {}
    for outcome in outcomes:
        own = own_id(outcome.question_id)
        if own not in first:
            # A copy takes longer than all else here, and most runs have no folds.
            told_apart = own != outcome.question_id
            first[own] = replace(outcome, question_id=own) if told_apart else outcome
    return list(first.values())
