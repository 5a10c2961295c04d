"""Whether a tuned index goes into service, and why, in words."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rag_app.evaluate.figures import change_with_interval, score
from rag_app.evaluate.statistics import POWER_FACTOR, POWER_QUANTILE, Difference, Estimate
from rag_app.text.counts import counted

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
    clusters: int | None = None,
    comparisons: int = 1,
) -> Verdict:
    """Promote what certainly rose, reject what certainly fell, hold the rest.

    Certain is a 95 % interval clear of 0 and p below the level, of a fall below .05 whatever the
    level, on mrr@10 alone: choosing among metrics afterwards would find a winner by chance.

    Arguments:
        differences, base, tuned: by metric, of one comparison.
        n: questions that were asked.
        asked: what they were, such as "new questions about new documents".
        level: of p; half of it, where either of two comparisons may promote.
        clusters: documents, near-duplicates counted as one, that the questions are about.
        comparisons: so many were made; each one's p is adjusted for that already (Holm).
    """
    change = differences[PRIMARY_METRIC]
    before, after = score(base[PRIMARY_METRIC].mean), score(tuned[PRIMARY_METRIC].mean)
    asked = f"{n:,} {asked}" if asked else counted(n, "question")
    if change.low == change.high == 0:
        return Verdict("hold", f"{PRIMARY_METRIC} is {before} before and after on {asked}")
    numbers = f"from {before} to {after} {_evidence(change, comparisons)} on {asked}"
    if certainly_rose(change, level):
        return Verdict("promote", f"{PRIMARY_METRIC} rose {numbers}")
    if certainly_fell(differences):
        return Verdict("reject", f"{PRIMARY_METRIC} fell {numbers}")
    why = _uncertain(change, level)
    needed = level / comparisons
    if clusters is not None and clusters < fewest_to_show(needed):
        told = _too_few(clusters, needed)
    else:
        smallest = _detectable(change, needed)
        told = (
            f"the smallest difference that so many questions can show is {score(smallest)}"
            f"{_more(change.mean, smallest, n)}"
        )
    return Verdict("hold", f"{PRIMARY_METRIC} went {numbers}, which {why}; {told}")


def fewest_to_show(level: float) -> int:
    """Clusters of which a randomization test can give a p below the level, if all change alike.

    Their signs have 2 ** n patterns, of which the one that was seen and its reverse count.

    >>> fewest_to_show(0.05), fewest_to_show(0.025)
    (6, 7)
    """
    return next(n for n in itertools.count(1) if 2 / 2**n < level)


def _too_few(clusters: int, level: float) -> str:
    """That no change can be certain, since the questions are about too few documents."""
    about = counted(clusters, "document")
    return (
        f"questions about {about} or groups of near-duplicates cannot show any difference: label "
        f"questions to {fewest_to_show(level)} or more"
    )


def _uncertain(change: Difference, level: float) -> str:
    """Why a change is not taken for certain."""
    if change.low <= 0 or change.p >= LEVEL:
        return "could be chance"
    return (
        f"is not certain enough: as either kind of questions may promote, each needs p below "
        f"{score(level)}"
    )


def _detectable(change: Difference, level: float) -> float:
    """The smallest difference that so many questions show at this level of p."""
    needed = statistics.NormalDist().inv_cdf(1 - level / 2) + POWER_QUANTILE
    return min(1.0, change.smallest_detectable * max(1.0, needed / POWER_FACTOR))


def _more(gain: float, smallest: float, n: int) -> str:
    """How many more questions would tell; nothing where the difference is no gain.

    They have to be about other documents, since documents are what is resampled.
    """
    if gain <= 0:
        return ""
    more = n * ((smallest / gain) ** 2 - 1)
    if more < 1:
        return ""
    if more > MOST_MORE:
        return f", and a gain as small as this one would take more than {MOST_MORE:,} more"
    digits = max(0, math.floor(math.log10(more)) - 1)
    return (
        f"; about {round(more, -digits):.0f} more about other documents would tell, if the gain is "
        "as large as it looks"
    )


def of_both(documents: Verdict, questions: Verdict) -> Verdict:
    """The verdict of two comparisons: new documents, and known documents asked anew.

    What certainly rose for one and did not certainly fall for the other is promoted; where both
    happened, nothing is decided. What decides is said first.

    Arguments:
        documents, questions: each decided at half the level, since either may promote.
    """
    both = (documents, questions)
    decisions = {one.decision for one in both}
    decision: Decision = "promote" if "promote" in decisions else "hold"
    if "reject" in decisions:
        decision = "hold" if "promote" in decisions else "reject"
    deciding_first = sorted(both, key=lambda one: one.decision != decision)
    return Verdict(decision, "; ".join(one.reason for one in deciding_first))


def certainly_rose(change: Difference, level: float = LEVEL) -> bool:
    """Whether a metric did: its whole interval is above 0, and p below the level."""
    return change.low > 0 and change.p < level


def certainly_lower(change: Difference) -> bool:
    """Whether a metric is: its whole interval is below 0, and p below .05."""
    return change.high < 0 and change.p < LEVEL


def certainly_fell(differences: Mapping[str, Difference]) -> bool:
    """Whether mrr@10 is certainly lower."""
    return certainly_lower(differences[PRIMARY_METRIC])


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


def _evidence(change: Difference, comparisons: int = 1) -> str:
    adjusted = f", Holm-adjusted for {comparisons} comparisons" if comparisons > 1 else ""
    return f"({change_with_interval(change)}, p = {score(change.p, digits=4)}{adjusted})"
