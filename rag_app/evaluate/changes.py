"""Question by question: what a new index fixed, what it broke, and what stands there instead."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag_app.evaluate.ranks import reciprocal
from rag_app.evaluate.scoring import Outcome, pair_outcomes


@dataclass(frozen=True, slots=True)
class Change:
    """A question whose first hit stands elsewhere.

    Arguments:
        old_rank, new_rank: place of the first hit before and after, from 1; None if it was missed.
        instead: chunk id that the worse run shows in the place where the better run has the
            answer: what took the place of a lost answer, or what a regained one displaced. None if
            the worse run retrieved too little to have that place.
    """

    question_id: str
    question: str
    old_rank: int | None
    new_rank: int | None
    instead: str | None

    @property
    def gain(self) -> float:
        """Change in reciprocal rank, from -1 (first place lost) to 1."""
        return reciprocal(self.new_rank) - reciprocal(self.old_rank)


@dataclass(frozen=True, slots=True)
class Flips:
    """Questions answered within the first `k` after but not before, and the other way round."""

    k: int
    fixed: int
    broken: int


def changes(base: Sequence[Outcome], tuned: Sequence[Outcome]) -> list[Change]:
    """Every question whose first hit moved, the largest loss first and the largest gain last.

    Raises:
        ValueError: the two runs did not ask the same questions.
    """
    moved = [
        _change(before, after)
        for before, after in pair_outcomes(base, tuned)
        if before.rank != after.rank
    ]
    return sorted(moved, key=lambda change: (change.gain, change.question_id))


def flips(
    base: Sequence[Outcome], tuned: Sequence[Outcome], *, depths: Sequence[int] = (1, 5)
) -> list[Flips]:
    """How many questions tuning fixed and broke, for each depth.

    Raises:
        ValueError: the two runs did not ask the same questions.
    """
    pairs = pair_outcomes(base, tuned)
    counted = []
    for k in depths:
        hits = [(_hit(before, k), _hit(after, k)) for before, after in pairs]
        counted.append(Flips(k, fixed=hits.count((False, True)), broken=hits.count((True, False))))
    return counted


def took_its_place(before: Outcome, after: Outcome) -> str | None:
    """Chunk id that stands where the right passage should; None where it stands first in both.

    Where the right passage moved: as `Change.instead`. Where it did not: what is first after.
    """
    if before.rank == after.rank:
        return after.retrieved[0] if after.rank != 1 and after.retrieved else None
    better, worse = sorted((before, after), key=lambda run: -reciprocal(run.rank))
    place = better.rank or 0
    return worse.retrieved[place - 1] if 0 < place <= len(worse.retrieved) else None


def _change(before: Outcome, after: Outcome) -> Change:
    instead = took_its_place(before, after)
    return Change(before.question_id, before.question, before.rank, after.rank, instead)


def _hit(outcome: Outcome, k: int) -> bool:
    return outcome.rank is not None and outcome.rank <= k
