"""The setting to recommend: chosen on dev, judged on test, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.evaluate.figures import change_with_interval, score
from rag_app.evaluate.statistics import Difference, difference, holm
from rag_app.evaluate.verdict import LEVEL

if TYPE_CHECKING:
    from rag_app.sweep.scoring import Candidate


@dataclass(frozen=True)
class Choice:
    """What came of it.

    Fields:
        best: the setting that wins; if none does, the first on dev.
        wins: whether it is certainly better than the present setting, on test.
        changes: by setting name, what each changes against the present one on test.
        adjusted: by setting name, the p of that for having looked at all settings (Holm).
        reason: in words.
    """

    best: "Candidate"
    wins: bool
    changes: Mapping[str, Difference]
    adjusted: Mapping[str, float]
    reason: str


def choose(
    candidates: Sequence["Candidate"], present: "Candidate", *, metric: str, seed: int
) -> Choice:
    """Choose on dev and read the verdict on test.

    The first on dev was chosen before test was looked at, so its own p counts; if it does not win,
    nothing does, since a second look at test would be one too many (a fixed sequence: Maurer,
    Hothorn and Lehmacher 1995). Where the present setting is first on dev, nothing has been tested
    yet, and the first of the others on dev that wins after adjustment for all settings is taken.
    So one false winner in 40 sweeps is what chance gives. Of settings that are equal on dev the
    faster one is first, and the present one before any other.

    Arguments:
        candidates: scored on dev and test, the present one among them.
    """
    ranked = sorted(
        candidates,
        key=lambda one: (-one.mean(metric), one is not present, one.milliseconds or 0.0),
    )
    changes = {
        one.setting.name: difference(present.test or [], one.test or [], metric, seed=seed)
        for one in candidates
        if one is not present
    }
    p_values = holm([change.p for change in changes.values()])
    adjusted = dict(zip(changes, p_values, strict=True))
    first = ranked[0]
    if first is present:
        tested = {one.setting.name: adjusted[one.setting.name] for one in ranked[1:]}
    else:
        tested = {first.setting.name: changes[first.setting.name].p}
    best = next(
        (
            one
            for one in ranked
            if tested.get(one.setting.name, 1.0) < LEVEL and changes[one.setting.name].low > 0
        ),
        None,
    )
    change = changes.get((best or first).setting.name)
    return Choice(
        best=best or first,
        wins=best is not None,
        changes=changes,
        adjusted=adjusted,
        reason=_reason(best or first, present, change, metric, wins=best is not None),
    )


def _reason(
    best: "Candidate",
    present: "Candidate",
    change: Difference | None,
    metric: str,
    *,
    wins: bool,
) -> str:
    if change is None:
        here = present.setting.words
        return f"your current setting stays: {here} is best on the dev questions"
    other_model = best.setting.model != present.setting.model
    name, here = (_in_words(one, with_model=other_model) for one in (best, present))
    slower = (best.milliseconds or 0.0) - (present.milliseconds or 0.0)
    price = f"{abs(slower):.0f} ms {'more' if slower >= 0 else 'less'} per question"
    found = f"{name}: {metric} {change_with_interval(change)} over the current {here}; {price}"
    if wins:
        return found
    if change.high < 0:
        return f"your current setting stays: the best on the dev questions is worse: {found}"
    asked = len(best.test or [])
    return (
        "your current setting stays: the best on the dev questions is not significantly better: "
        f"{found}. That could be chance: the smallest difference that {asked} questions can show "
        f"is {score(change.smallest_detectable)}"
    )


def _in_words(candidate: "Candidate", *, with_model: bool) -> str:
    setting = candidate.setting
    return f"{setting.model_label}, {setting.words}" if with_model else setting.words
