"""Whether a tuned index goes into service, and why, in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rag_app.evaluate.figures import change_with_interval, score
from rag_app.evaluate.statistics import Difference, Estimate

PRIMARY_METRIC = "mrr@10"
LEVEL = 0.05
# More questions than this to label are nothing to advise.
MOST_MORE = 10_000

Decision = Literal["promote", "hold", "reject"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the tuned index; `str()` gives both parts."""

    decision: Decision
    reason: str

    def __str__(self) -> str:
        return f"{self.decision}: {self.reason}"


def decide(
    differences: Mapping[str, Difference],
    base: Mapping[str, Estimate],
    tuned: Mapping[str, Estimate],
    n: int,
    *,
    asked: str = "",
    level: float = LEVEL,
) -> Verdict:
    """Promote what certainly rose, reject what certainly fell, hold the rest.

    Certain is a 95 % interval clear of 0 and p below the level, on mrr@10 alone: choosing among
    metrics afterwards would find a winner by chance.

    Arguments:
        differences, base, tuned: by metric, of one comparison.
        n: questions that were asked.
        asked: what they were, such as "new questions about new documents".
        level: of p; half of it, where one of two comparisons may promote.
    """
    change = differences[PRIMARY_METRIC]
    before, after = score(base[PRIMARY_METRIC].mean), score(tuned[PRIMARY_METRIC].mean)
    asked = f"{n} {asked or ('question' if n == 1 else 'questions')}"
    if change.low == change.high == 0:
        return Verdict("hold", f"{PRIMARY_METRIC} is {before} before and after on {asked}")
    numbers = f"from {before} to {after} {_evidence(change)} on {asked}"
    if change.low > 0 and change.p < level:
        return Verdict("promote", f"{PRIMARY_METRIC} rose {numbers}")
    if certainly_fell(differences):
        return Verdict("reject", f"{PRIMARY_METRIC} fell {numbers}")
    return Verdict(
        "hold",
        f"{PRIMARY_METRIC} went {numbers}, which could be chance; the smallest difference that "
        f"so many questions can show is {score(change.smallest_detectable)}{_more(change, n)}",
    )


def _more(change: Difference, n: int) -> str:
    """How many more questions would tell; nothing where the difference is no gain."""
    if change.mean <= 0:
        return ""
    more = n * ((change.smallest_detectable / change.mean) ** 2 - 1)
    if more < 1:
        return ""
    if more > MOST_MORE:
        return f", and a gain as small as this one would take more than {MOST_MORE:,} more"
    digits = max(0, math.floor(math.log10(more)) - 1)
    return (
        f"; about {round(more, -digits):.0f} more would tell, if the gain is as large as it looks"
    )


def of_both(documents: Verdict, questions: Verdict) -> Verdict:
    """The verdict of two comparisons: new documents, and known documents asked anew.

    What certainly rose for one and did not certainly fall for the other is promoted; where both
    happened, nothing is decided.

    Arguments:
        documents, questions: each decided at half the level, since either may promote.
    """
    decisions = {documents.decision, questions.decision}
    reason = f"{documents.reason}; {questions.reason}"
    if "reject" in decisions:
        return Verdict("hold" if "promote" in decisions else "reject", reason)
    return Verdict("promote" if "promote" in decisions else "hold", reason)


def certainly_fell(differences: Mapping[str, Difference]) -> bool:
    """Whether mrr@10 did: its whole interval is below 0, and p below .05."""
    change = differences[PRIMARY_METRIC]
    return change.high < 0 and change.p < LEVEL


def guard(
    verdict: Verdict, canary: Mapping[str, Difference], *, milder: Sequence[str] = ()
) -> Verdict:
    """Hold what rose on held-out questions but certainly fell on out-of-domain ones.

    Arguments:
        canary: differences on those questions, by metric.
        milder: forms of the same model that were tried and fell there as well.
    """
    change = canary[PRIMARY_METRIC]
    if verdict.decision != "promote" or not certainly_fell(canary):
        return verdict
    fell = f"on out-of-domain questions (canary) it fell by {score(-change.mean)}"
    also = f", and all that is milder fell as well ({', '.join(milder)})" if milder else ""
    less = "--learning-rate or fewer --epochs" if milder else "--whitening or --learning-rate"
    return Verdict(
        "hold",
        f"{verdict.reason}; but {fell} {_evidence(change)}{also}: try a smaller {less}, or "
        "--canary report if only your own documents will be asked",
    )


def _evidence(change: Difference) -> str:
    return f"({change_with_interval(change)}, p = {score(change.p, digits=4)})"
