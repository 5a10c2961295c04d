"""Every question's rank, committed beside the results, so that any two rows can be compared later.

One file for each benchmark, eval/results/<name>_outcomes.json: for each row one character a
question ("1" to "9", "A" for ten, "." for none), and once for each list of questions its documents.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpora import RESULTS

from rag_app.evaluate.ranks import reciprocal
from rag_app.evaluate.scoring import LARGEST_K, Outcome
from rag_app.evaluate.statistics import Difference, Estimate, difference, estimate

# Of these the first rank tells all.
SHOWN = ("hit_rate@1", "hit_rate@3", "hit_rate@5", f"mrr@{LARGEST_K}")
_RANKS = ".123456789A"


class KeptOutcomes:
    """The outcomes of a benchmark's rows, by the row's name."""

    def __init__(self, benchmark: str) -> None:
        self.path: Path = RESULTS / f"{benchmark}_outcomes.json"
        self._kept: dict[str, Any] = {"asked": {}, "ranks": {}}
        if self.path.is_file():
            self._kept = json.loads(self.path.read_text("utf-8"))

    def __contains__(self, name: str) -> bool:
        """Whether there is such a row."""
        return name in self._kept["ranks"]

    def put(self, name: str, outcomes: Sequence[Outcome]) -> None:
        """Keep a row's outcomes; the file is written whole or not at all.

        Raises:
            ValueError: a metric that does not follow from the first rank.
        """
        for outcome in outcomes:
            told = outcome_of_rank(outcome.question_id, outcome.cluster, _rank(outcome)).values
            if any(abs(told[metric] - outcome.values[metric]) > 1e-9 for metric in SHOWN):
                raise ValueError(f"{outcome.question_id}: {outcome.rank}, {outcome.values}")
        ids = "\n".join(outcome.question_id for outcome in outcomes)
        asked = hashlib.sha256(ids.encode()).hexdigest()[:8]
        # Clusters are called by where documents stood; those of the same questions are the same.
        self._kept["asked"].setdefault(asked, [outcome.cluster for outcome in outcomes])
        ranks = "".join(_RANKS[_rank(outcome) or 0] for outcome in outcomes)
        self._kept["ranks"][name] = [asked, ranks]
        partial = self.path.with_suffix(".partial")
        lines = (
            f'"{part}": {{\n'
            + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in self._kept[part].items())
            + "\n}"
            for part in ("asked", "ranks")
        )
        partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
        partial.replace(self.path)

    def get(self, name: str) -> list[Outcome]:
        """A row's outcomes: cluster, rank, and the metrics that follow from the rank."""
        asked, ranks = self._kept["ranks"][name]
        clusters = self._kept["asked"][asked]
        return [
            outcome_of_rank(str(place), cluster, _RANKS.index(rank) or None)
            for place, (cluster, rank) in enumerate(zip(clusters, ranks, strict=True))
        ]

    def both(self, first: str, second: str) -> tuple[list[Outcome], list[Outcome]]:
        """Two rows' outcomes; where one was asked fewer questions, these are the first ones.

        Raises:
            ValueError: rows that asked of other documents.
        """
        one, other = self.get(first), self.get(second)
        most = min(len(one), len(other))
        one, other = one[:most], other[:most]
        if [outcome.cluster for outcome in one] != [outcome.cluster for outcome in other]:
            raise ValueError(f"{first!r} and {second!r} were not asked the same")
        return one, other

    def pooled(self, names: dict[int, str]) -> list[Outcome]:
        """The outcomes of several seeds, each question told apart by its seed."""
        return [
            replace(outcome, question_id=f"{seed} {outcome.question_id}")
            for seed, name in names.items()
            for outcome in self.get(name)
        ]


def _rank(outcome: Outcome) -> int | None:
    """The first right passage's rank, as far as metrics look."""
    return outcome.rank if outcome.rank and outcome.rank <= LARGEST_K else None


def outcome_of_rank(question_id: str, cluster: str, rank: int | None) -> Outcome:
    """An outcome of which only the first right passage's rank is known; None: below the tenth."""
    values = {
        f"hit_rate@{k}": float(rank is not None and rank <= k) for k in range(1, LARGEST_K + 1)
    }
    values[f"mrr@{LARGEST_K}"] = reciprocal(rank)
    return Outcome(question_id, "", cluster, [], [], [], rank, values)


def scores(outcomes: Sequence[Outcome], *, seed: int = 0) -> dict[str, Estimate]:
    """Means with intervals."""
    return {metric: estimate(outcomes, metric, seed=seed) for metric in SHOWN}


def changes(
    before: Sequence[Outcome], after: Sequence[Outcome], *, seed: int = 0
) -> dict[str, Difference]:
    """What changed between two rows that asked the same, paired by question."""
    return {metric: difference(before, after, metric, seed=seed) for metric in SHOWN}


def interval(change: Difference) -> str:
    """Such as "+.010 [-.002, +.022]"."""
    return f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
