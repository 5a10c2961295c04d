"""Held-out questions whose first passage was fixed or broken, with the passage that answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_app.cli.run import Run

if TYPE_CHECKING:
    from rag_app.evaluate.scoring import Outcome
    from rag_app.finetune.result import FinetuneResult

    Pairs = Sequence[tuple[Outcome, Outcome]]

# Examples of each kind; all are counted, and kept in the results.
SHOWN = 3
DEPTHS = (1, 5)


def show_changes(run: Run, result: "FinetuneResult") -> None:
    """Print how many questions were fixed and broken, and some of both."""
    from rag_app.evaluate.scoring import pair_outcomes

    comparison = result.judgement.comparison
    pairs = pair_outcomes(comparison.base_outcomes, comparison.tuned_outcomes)
    for depth in DEPTHS:
        fixed, broken = _fixed(pairs, depth), _fixed([pair[::-1] for pair in pairs], depth)
        run.say(f"top-{depth}: {len(fixed)} fixed, {len(broken)} broken")
        if depth == 1:
            _show(run, "fixed", fixed, result)
            _show(run, "broken", [pair[::-1] for pair in broken], result)


def _fixed(pairs: "Pairs", depth: int) -> "list[tuple[Outcome, Outcome]]":
    return [
        (before, after)
        for before, after in pairs
        if after.values[f"hit_rate@{depth}"] > before.values[f"hit_rate@{depth}"]
    ]


def _show(run: Run, title: str, pairs: "Pairs", result: "FinetuneResult") -> None:
    """Those that moved farthest first."""
    ordered = sorted(pairs, key=lambda pair: min(_place(pair[0]), _place(pair[1])))
    moved = sorted(ordered, key=lambda pair: -abs(_place(pair[0]) - _place(pair[1])))
    for before, after in moved[:SHOWN]:
        answer = result.titles.get(after.gold[0][0], "") if after.gold[0] else ""
        rank = f"rank {before.rank or 'none'} -> {after.rank or 'none'}"
        run.say(f"  {title}: {after.question}\n      answered by: {answer} ({rank})")


def _place(outcome: "Outcome") -> int:
    from rag_app.evaluate.scoring import KEPT_RANKS

    return outcome.rank or KEPT_RANKS + 1
