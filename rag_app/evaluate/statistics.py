"""Outcomes -> means with intervals, and what a difference between two runs is worth.

Questions about one document succeed and fail together, so whole clusters are resampled, never
single questions (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8); runs are
compared question by question with a randomization test (Smucker, Allan and Carterette, CIKM 2007).
In cross-validation each fold has a model of its own: what these differ by, beyond what their
questions do, widens the interval (a random effect of folds, by the method of moments).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rag_app.errors import PairsError
from rag_app.evaluate.invariants import check_invariants
from rag_app.evaluate.resampling import (
    Clusters,
    Floats,
    add_up,
    interval,
    randomization_p,
    resampled,
)
from rag_app.evaluate.scoring import METRICS, Outcome, pair_outcomes

# Normal quantiles of 80 % power, and with it of a two-sided 5 % level.
POWER_QUANTILE = 0.84
POWER_FACTOR = 1.96 + POWER_QUANTILE


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and its 95 % interval, all between 0 and 1."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Tuned minus base over the same questions.

    Arguments:
        mean, low, high: mean difference and its 95 % interval, between -1 and 1.
        p: two-sided p of the difference if base and tuned were the same.
        smallest_detectable: difference that a test of this size and spread shows with 80 % power
            at the 5 % level; 0 where all clusters changed alike.
    """

    mean: float
    low: float
    high: float
    p: float
    smallest_detectable: float


@dataclass(frozen=True)
class _Apart:
    """What questions differ by: their clusters' names, their ids, values (n_metrics, n_questions).

    The ids are needed where there are folds.
    """

    names: Sequence[str]
    ids: Sequence[str]
    values: Floats

    @cached_property
    def clusters(self) -> Clusters:
        return add_up(self.names, self.values)


def summarise(outcomes: Sequence[Outcome], *, seed: int) -> dict[str, Estimate]:
    """Mean and 95 % cluster bootstrap interval of every metric.

    Where all clusters agree the interval is the mean. From a single cluster no spread can be told:
    the interval is [0, 1].

    Raises:
        PairsError: no outcomes.
        RuntimeError: outcomes that break an invariant.
    """
    check_invariants(outcomes)
    return _estimates(outcomes, METRICS, seed)


def estimate(outcomes: Sequence[Outcome], metric: str, *, seed: int) -> Estimate:
    """Mean and interval of one metric, as `summarise` gives it.

    Raises:
        PairsError: no outcomes.
    """
    return _estimates(outcomes, (metric,), seed)[metric]


def differences(
    base: Sequence[Outcome],
    tuned: Sequence[Outcome],
    *,
    seed: int,
    folds: Mapping[str, int] | None = None,
) -> dict[str, Difference]:
    """What tuning changed, for every metric; see `difference`.

    Arguments:
        folds: question id -> number of its fold, where each fold was answered by another model.
    """
    return _differences(base, tuned, METRICS, seed, folds)


def difference(
    base: Sequence[Outcome],
    tuned: Sequence[Outcome],
    metric: str,
    *,
    seed: int,
    folds: Mapping[str, int] | None = None,
) -> Difference:
    """What tuning changed in one metric, paired by question.

    From a single cluster nothing can be told: the interval is [-1, 1], p is 1 and the smallest
    detectable difference is 1.

    Arguments:
        folds: see `differences`.
    Raises:
        PairsError: no outcomes.
        ValueError: the two runs did not ask the same questions.
    """
    return _differences(base, tuned, (metric,), seed, folds)[metric]


def compare_scores(
    base: Sequence[Outcome],
    tuned: Sequence[Outcome],
    *,
    seed: int,
    folds: Mapping[str, int] | None = None,
) -> tuple[dict[str, Estimate], dict[str, Estimate], dict[str, Difference]]:
    """`summarise` of both runs and their `differences`, from one draw of resamples.

    Raises:
        PairsError, ValueError, RuntimeError: as those.
    """
    for run in (base, tuned):
        check_invariants(run)
    apart = _apart(base, tuned, METRICS)
    alone = [add_up(_names(run), _values(run, METRICS)) for run in (base, tuned)]
    before, after, changed = resampled([*alone, apart.clusters], seed=seed)
    scores = [
        dict(zip(METRICS, _as_estimates(clusters, means, lowest=0.0), strict=True))
        for clusters, means in zip(alone, (before, after), strict=True)
    ]
    found = _as_differences(apart, changed, seed=seed, folds=folds)
    return scores[0], scores[1], dict(zip(METRICS, found, strict=True))


def mean_change(names: Sequence[str], change: Floats, *, seed: int) -> Difference:
    """`difference` of any values of questions.

    Arguments:
        names: cluster of each question.
        change: (n_questions,), after less before, each between -1 and 1.
    """
    apart = _Apart(names, [], change[np.newaxis])
    [means] = resampled([apart.clusters], seed=seed)
    return _as_differences(apart, means, seed=seed)[0]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for having looked at all of them (Holm, Scand. J. Statist. 6, 1979)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for done, place in enumerate(order):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - done)))
        adjusted[place] = largest
    return adjusted


def _estimates(
    outcomes: Sequence[Outcome], metrics: Sequence[str], seed: int
) -> dict[str, Estimate]:
    found = mean_intervals(_names(outcomes), _values(outcomes, metrics), seed=seed)
    return dict(zip(metrics, found, strict=True))


def mean_intervals(
    names: Sequence[str], values: Floats, *, seed: int, lowest: float = 0.0
) -> list[Estimate]:
    """Mean and 95 % cluster bootstrap interval of any values of questions.

    Arguments:
        names: cluster of each question.
        values: (n_rows, n_questions), each row between `lowest` and 1.
    Returns:
        one for each row, from one draw of the clusters.
    """
    clusters = add_up(names, values)
    [means] = resampled([clusters], seed=seed)
    return _as_estimates(clusters, means, lowest=lowest)


def _as_estimates(clusters: Clusters, means: Floats, *, lowest: float) -> list[Estimate]:
    low, high, _ = interval(means, lowest=lowest)
    columns = zip(clusters.means.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(*column) for column in columns]


def _differences(
    base: Sequence[Outcome],
    tuned: Sequence[Outcome],
    metrics: Sequence[str],
    seed: int,
    folds: Mapping[str, int] | None = None,
) -> dict[str, Difference]:
    apart = _apart(base, tuned, metrics)
    [means] = resampled([apart.clusters], seed=seed)
    found = _as_differences(apart, means, seed=seed, folds=folds)
    return dict(zip(metrics, found, strict=True))


def _apart(base: Sequence[Outcome], tuned: Sequence[Outcome], metrics: Sequence[str]) -> _Apart:
    pairs = pair_outcomes(base, tuned)
    before, after = (_values([pair[side] for pair in pairs], metrics) for side in (0, 1))
    ids = [first.question_id for first, _ in pairs]
    return _Apart(_names([first for first, _ in pairs]), ids, after - before)


def _as_differences(
    apart: _Apart, resampled: Floats, *, seed: int, folds: Mapping[str, int] | None = None
) -> list[Difference]:
    clusters = apart.clusters
    low, high, error = interval(resampled, lowest=-1.0)
    p = randomization_p(clusters, seed=seed)
    means = clusters.means
    if folds is not None:
        number = np.array([folds[one] for one in apart.ids])
        wider = _widening(apart.names, apart.values, number, error)
        low, high = means - wider * (means - low), means + wider * (high - means)
        p, error = _p_of_wider(p, wider), wider * error
    bounded = np.clip([low, high], -1.0, 1.0)
    columns = np.column_stack([means, *bounded, p, _shown_by(error)]).tolist()
    return [Difference(*column) for column in columns]


def _shown_by(error: Floats) -> Floats:
    """The smallest difference that a standard error of this size shows, at most 1 as any score."""
    return np.minimum(POWER_FACTOR * error, 1.0)


def _widening(
    names: Sequence[str], values: Floats, folds: npt.NDArray[np.int64], error: Floats
) -> Floats:
    """How many times the standard error grows as folds differ by their models: (n_metrics,).

    The variance of the folds' means, less what their questions make it, is that of the models.

    Arguments:
        names, folds: cluster and fold of each question.
        values: (n_metrics, n_questions).
        error: standard error of each metric's mean over all questions, (n_metrics,).
    """
    means, sampling = [], []
    for fold in np.unique(folds):
        inside = folds == fold
        clusters = add_up(
            [name for name, kept in zip(names, inside, strict=True) if kept], values[:, inside]
        )
        count = len(clusters.questions)
        if count > 1:
            means.append(clusters.means)
            spread = clusters.sums - np.outer(clusters.means, clusters.questions)
            total = clusters.questions.sum()
            sampling.append((spread**2).sum(axis=1) / total**2 * count / (count - 1))
    if len(means) < 2:
        return np.ones(len(values))
    between = np.maximum(np.var(means, axis=0, ddof=1) - np.mean(sampling, axis=0), 0.0)
    extra = between / len(means)
    wider = np.ones(len(values))
    certain = (error > 0) & np.isfinite(error)
    wider[certain] = np.sqrt(1 + extra[certain] / error[certain] ** 2)
    return wider


def _p_of_wider(p: Floats, wider: Floats) -> Floats:
    """Two-sided p of the same differences with so many times the standard error."""
    from scipy.stats import norm

    widened = 2 * norm.sf(norm.isf(p / 2) / wider)
    return np.where(wider > 1, widened, p)


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.cluster for outcome in outcomes]


def _values(outcomes: Sequence[Outcome], metrics: Sequence[str]) -> Floats:
    """(n_metrics, n_outcomes) float64."""
    if not outcomes:
        raise PairsError(
            "there are no questions to score; name a file that has some, or write them with "
            "`rag-app questions`"
        )
    return np.array([[outcome.values[metric] for outcome in outcomes] for metric in metrics])
