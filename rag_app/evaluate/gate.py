"""A gate: whether retrieval got worse since an earlier run, or whether the questions cannot tell.

The null hypothesis is turned around for a pass: what is asked is not whether a loss was shown, but
whether one of a stated size is excluded (non-inferiority; Lakens, Social Psychological and
Personality Science 8(4), 2017), or a file of ten questions would let everything through.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from rag_app.errors import ConfigError, PairsError
from rag_app.evaluate.changes import Change, changes
from rag_app.evaluate.comparison import Comparison, compare_outcomes
from rag_app.evaluate.figures import change_with_interval, score
from rag_app.evaluate.scoring import LARGEST_K, Outcome
from rag_app.evaluate.statistics import Difference, holm
from rag_app.evaluate.stored import RetrievalRun
from rag_app.evaluate.verdict import LEVEL, PRIMARY_METRIC, certainly_fell
from rag_app.progress import Progress, silent

SMALLEST_LOSS = 0.02
# Whose certain fall is a loss; the primary metric's alone shows that there was none.
WATCHED = ("hit_rate@1", "hit_rate@5", "hit_rate@10", PRIMARY_METRIC, "ndcg@10")

Decision = Literal["no loss", "loss", "cannot tell"]
EXIT_CODES: dict[Decision, int] = {"no loss": 0, "loss": 1, "cannot tell": 3}


@dataclass(frozen=True)
class Gate:
    """A run against an earlier one, on the questions that both were asked.

    Fields:
        smallest_loss: of mrr@10, that has to be excluded.
        fell: metrics that certainly fell.
        worse: questions whose first right passage fell, the farthest first, as far as metrics look:
            one that leaves the first ten is missed, and what moves behind them did not move.
        new, gone: questions that only this run, or only the earlier one, was asked.
        apart: what else is not as it was: "chunk size 128, was 256".
        baseline: where the earlier run lies.
        names: what passages are called, by chunk id, as far as it is known.
    """

    decision: Decision
    reason: str
    smallest_loss: float
    comparison: Comparison
    fell: list[str]
    worse: list[Change]
    new: int
    gone: int
    apart: list[str]
    baseline: str
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def exit_code(self) -> int:
        """0 no loss, 1 a certain loss, 3 the questions cannot tell."""
        return EXIT_CODES[self.decision]

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        compared = self.comparison
        return {
            "run": self.baseline,
            "decision": self.decision,
            "reason": self.reason,
            "smallest_loss": self.smallest_loss,
            "n": self.comparison.n,
            "new": self.new,
            "gone": self.gone,
            "apart": self.apart,
            "fell": self.fell,
            "differences": compared.differences_json(),
            "flips": compared.flips_json(),
            "worse": [asdict(change) for change in self.worse],
        }


def check_smallest_loss(value: float) -> None:
    """Refuse a loss that no mean between 0 and 1 can have.

    Raises:
        ConfigError: it is not between 0 and 1.
    """
    if not 0 < value < 1:
        raise ConfigError(f"--smallest-loss is {value}; give a loss of mrr@10 between 0 and 1")


def judge_run(
    now: RetrievalRun,
    baseline: RetrievalRun,
    *,
    smallest_loss: float = SMALLEST_LOSS,
    seed: int,
    progress: Progress = silent,
) -> Gate:
    """Compare a run with an earlier one on their common questions, and decide.

    A loss: mrr@10 certainly fell as `decide` has it, or another watched metric did after Holm's
    adjustment. No loss: mrr@10 certainly rose, or nothing moved at all, or the interval of mrr@10
    excludes a loss of `smallest_loss` and there are so many clusters that one of those would have
    shown it (few that all stay as they were make an interval without width).

    Raises:
        PairsError: no question is common to both.
        ConfigError: a loss that cannot be.
    """
    check_smallest_loss(smallest_loss)
    before, after = _common(now, baseline)
    comparison = compare_outcomes(before, after, seed=seed, progress=progress)
    fell = _fell(comparison.differences)
    decision, reason = _decide(comparison, fell, smallest_loss)
    if unfair := _unfair(decision, now, baseline):
        decision, reason = "cannot tell", f"{reason}; {unfair}"
    return Gate(
        decision=decision,
        reason=reason,
        smallest_loss=smallest_loss,
        comparison=comparison,
        fell=fell,
        worse=_worse(before, after),
        new=len(now.outcomes) - len(after),
        gone=len(baseline.outcomes) - len(before),
        apart=now.setting.apart(baseline.setting),
        baseline=str(baseline.place),
        names={**baseline.names, **now.names},
    )


def fewest_clusters(smallest_loss: float) -> int:
    """Clusters of which one would have shown it, if a share of this size had lost everything.

    The rule of three, 3 / share, before it is rounded (Hanley and Lippman-Hand, JAMA 249, 1983).

    >>> fewest_clusters(0.02), fewest_clusters(0.05)
    (149, 59)
    """
    return math.ceil(math.log(LEVEL) / math.log(1 - smallest_loss))


def _common(now: RetrievalRun, baseline: RetrievalRun) -> tuple[list[Outcome], list[Outcome]]:
    asked = {outcome.question_id: outcome for outcome in now.outcomes}
    before = [outcome for outcome in baseline.outcomes if outcome.question_id in asked]
    if not before:
        raise PairsError(
            f"none of these {len(now.outcomes)} questions is among the {len(baseline.outcomes)} of "
            f"{baseline.place}; evaluate the same questions, or make the baseline anew with "
            "`rag-app evaluate FILE`"
        )
    return before, [asked[outcome.question_id] for outcome in before]


def _worse(before: Sequence[Outcome], after: Sequence[Outcome]) -> list[Change]:
    """Questions that fell among the ranks that metrics see; outcomes keep more."""
    seen_before, seen_after = (
        [replace(one, rank=None) if (one.rank or 0) > LARGEST_K else one for one in side]
        for side in (before, after)
    )
    return [change for change in changes(seen_before, seen_after) if change.gain < 0]


def _fell(differences: Mapping[str, Difference]) -> list[str]:
    """Watched metrics whose fall is certain."""
    adjusted = holm([differences[metric].p for metric in WATCHED])
    return [
        metric
        for metric, p in zip(WATCHED, adjusted, strict=True)
        if (differences[metric].high < 0 and p < LEVEL)
        or (metric == PRIMARY_METRIC and certainly_fell(differences))
    ]


def _decide(
    compared: Comparison, fell: Sequence[str], smallest_loss: float
) -> tuple[Decision, str]:
    change, n = compared.differences[PRIMARY_METRIC], compared.n
    moved = f"{_from_to(compared, PRIMARY_METRIC)}, on {_questions(n)}"
    if fell:
        went = "; ".join(f"{metric} fell {_from_to(compared, metric)}" for metric in fell)
        return "loss", f"{went}, on {_questions(n)}"
    if _all_the_same(compared):
        return "no loss", f"all {n} rankings are as they were"
    went = f"{PRIMARY_METRIC} went {moved}"
    if compared.verdict.decision == "promote":
        return "no loss", f"{PRIMARY_METRIC} rose {moved}"
    documents = len({outcome.cluster for outcome in compared.base_outcomes})
    needed = fewest_clusters(smallest_loss)
    if documents < needed:
        return "cannot tell", (
            f"{went}; to exclude a loss of {smallest_loss:g} takes questions about {needed} "
            f"documents or more, and these are about {documents}: label more, or state a larger "
            "--smallest-loss"
        )
    if change.low > -smallest_loss:
        return "no loss", f"{went}; a loss of {smallest_loss:g} is excluded"
    return "cannot tell", (
        f"{went}; a loss of {smallest_loss:g} is neither shown nor excluded"
        f"{_more(change, n, smallest_loss)}"
    )


def _all_the_same(compared: Comparison) -> bool:
    """Whether no ranking moved, as deep as metrics look."""
    before, after = (
        [(one.retrieved[:LARGEST_K], one.values) for one in side]
        for side in (compared.base_outcomes, compared.tuned_outcomes)
    )
    return before == after


def _more(change: Difference, n: int, smallest_loss: float) -> str:
    """How many more questions would exclude the loss, and which loss these exclude.

    That is told and not advised: a loss that is chosen after the scores were seen excludes nothing.
    """
    room = smallest_loss + change.mean
    excluded = f"these exclude a loss of {math.ceil(-change.low * 100 + 1e-9) / 100:g}"
    if room <= 0:
        return f"; it lost as much as that on these: label more questions; {excluded}"
    more = math.ceil(n * (((change.mean - change.low) / room) ** 2 - 1))
    return f"; about {max(more, 1)} more questions about other documents would tell; {excluded}"


def _unfair(decision: Decision, now: RetrievalRun, baseline: RetrievalRun) -> str:
    """Why training speaks against the decision; empty if it does not."""
    mine, its = now.setting.trained_on, baseline.setting.trained_on
    if decision == "no loss" and mine and not its:
        return f"but the model was trained on {mine} of its questions, the baseline's on none"
    if decision == "loss" and its and not mine:
        return f"but the baseline's model was trained on {its} of its questions, this one on none"
    return ""


def _from_to(compared: Comparison, metric: str) -> str:
    before, after = compared.base[metric].mean, compared.tuned[metric].mean
    change = compared.differences[metric]
    moved = f"{change_with_interval(change)}, p = {score(change.p, digits=4)}"
    return f"from {score(before)} to {score(after)} ({moved})"


def _questions(n: int) -> str:
    return "1 common question" if n == 1 else f"{n} common questions"
