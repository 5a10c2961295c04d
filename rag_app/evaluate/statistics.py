"""Outcomes -> means with intervals, and what a difference between two runs is worth.

Questions about one document succeed and fail together, so whole clusters are resampled, never
single questions (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 3.8); runs are
compared question by question with a randomization test (Smucker, Allan and Carterette, CIKM 2007).
In cross-validation each fold has a model of its own: what these differ by, beyond what their
questions do, widens the interval (a random effect of folds, by the method of moments).

What is drawn, and what is made of it, is what `scipy.stats.bootstrap` (percentile) and
`permutation_test` (samples) draw and make; a test holds them together. They are not called, since
scipy.stats takes longer to import than a gate may take.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from rag_app.errors import PairsError
from rag_app.evaluate.invariants import check_invariants
from rag_app.evaluate.scoring import METRICS, Outcome, pair_outcomes

Floats = npt.NDArray[np.float64]

RESAMPLES = 9999
# Resamples times clusters that are held in memory at once, eight bytes each and a few times over.
CELLS = 1_000_000
# Draws of so many are kept for the next: 40 MB.
KEPT_CELLS = 5_000_000
# Clusters of one matrix product. Larger ones are shared among threads, which takes six times as
# long where others have work for the processor as well.
BLOCK = 1024
# Of a 95 % interval, as SciPy rounds it.
TAIL = (1 - 0.95) / 2
# Sums of rounded numbers may differ by this share of what was added up, and be the same.
SAME = 100 * np.finfo(np.float64).eps
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
class _Clusters:
    """Values added up by cluster: sums (n_metrics, n_clusters), questions (n_clusters,)."""

    sums: Floats
    questions: Floats

    @property
    def count(self) -> int:
        return len(self.questions)

    @property
    def means(self) -> Floats:
        return np.asarray(self.sums.sum(axis=1) / self.questions.sum())

    def added_up(self, times: Floats) -> Floats:
        """The sums of all clusters if they count so many times: (n_metrics, rows).

        Arguments:
            times: whole numbers, (rows, n_clusters).
        """
        whole, hits, others = self._parts
        sums = np.empty((len(whole), len(times)))
        sums[whole] = _product(hits, times)
        # einsum, unlike matrix products, adds up alike whatever the number of threads.
        sums[~whole] = np.einsum("mc,rc->mr", others, times)
        return sums

    @cached_property
    def _parts(self) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
        """Which metrics are whole numbers, as hits are; those, and the others."""
        whole = (self.sums == np.rint(self.sums)).all(axis=1)
        return whole, self.sums[whole], self.sums[~whole]


@dataclass(frozen=True)
class _Apart:
    """What questions differ by: their clusters' names, their ids, values (n_metrics, n_questions).

    The ids are needed where there are folds.
    """

    names: Sequence[str]
    ids: Sequence[str]
    values: Floats

    @cached_property
    def clusters(self) -> _Clusters:
        return _add_up(self.names, self.values)


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
    alone = [_add_up(_names(run), _values(run, METRICS)) for run in (base, tuned)]
    before, after, changed = _resampled([*alone, apart.clusters], seed=seed)
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
    [means] = _resampled([apart.clusters], seed=seed)
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
    clusters = _add_up(names, values)
    [means] = _resampled([clusters], seed=seed)
    return _as_estimates(clusters, means, lowest=lowest)


def _as_estimates(clusters: _Clusters, means: Floats, *, lowest: float) -> list[Estimate]:
    low, high, _ = _interval(means, lowest=lowest)
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
    [means] = _resampled([apart.clusters], seed=seed)
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
    low, high, error = _interval(resampled, lowest=-1.0)
    p = _randomization_p(clusters, seed=seed)
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
        clusters = _add_up(
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


def _add_up(names: Sequence[str], values: Floats) -> _Clusters:
    """Sums by cluster of values, (n_metrics, n_outcomes), whose clusters are named in order."""
    _, place = np.unique(names, return_inverse=True)
    sums = np.stack([np.bincount(place, weights=row) for row in values])
    return _Clusters(sums.astype(np.float64), np.bincount(place).astype(np.float64))


def _resampled(every: Sequence[_Clusters], *, seed: int) -> list[Floats]:
    """Means of each in each resample, (n_metrics, RESAMPLES); none of a single cluster.

    The clusters' numbers are what is resampled, so that one draw of them serves every metric, and
    all that have as many clusters.
    """
    found: list[list[Floats]] = [[np.empty((len(one.sums), 0))] for one in every]
    for count in {one.count for one in every} - {1}:
        alike = [
            (one, means) for one, means in zip(every, found, strict=True) if one.count == count
        ]
        drawn = _drawn_once if count * RESAMPLES <= KEPT_CELLS else _drawn
        for times in drawn(count, seed):
            for one, means in alike:
                means.append(one.added_up(times) / _product(one.questions[np.newaxis], times))
    return [np.concatenate(means, axis=-1) for means in found]


def _interval(means: Floats, *, lowest: float) -> tuple[Floats, Floats, Floats]:
    """Low end, high end and standard error of each metric's mean, (n_metrics,) each.

    Arguments:
        means: of resamples; none where there is one cluster, of which no spread can be told.
        lowest: the least value that a mean can have; the greatest is 1.
    """
    if not means.size:
        n_metrics = len(means)
        return np.full(n_metrics, lowest), np.ones(n_metrics), np.full(n_metrics, np.inf)
    low, high = np.quantile(means, (TAIL, 1 - TAIL), axis=-1)
    return low, high, means.std(axis=-1, ddof=1)


def _product(values: Floats, times: Floats) -> Floats:
    """Whole numbers (n_metrics, n_clusters) times whole numbers: exact, in whatever order."""
    found = np.zeros((len(values), len(times)))
    for start in range(0, values.shape[1], BLOCK):
        some = slice(start, start + BLOCK)
        found += values[:, some] @ times[:, some].T
    return found


def _drawn(n_clusters: int, seed: int) -> Iterator[Floats]:
    """How often each resample holds each cluster, (rows, n_clusters) at a time."""
    rng = np.random.default_rng(seed)
    for rows in _batches(n_clusters):
        yield _times_drawn(rng.integers(0, n_clusters, (rows, n_clusters)), n_clusters)


@lru_cache(maxsize=1)
def _drawn_once(n_clusters: int, seed: int) -> list[Floats]:
    """As `_drawn`; two runs and their difference are all counted by the same draws."""
    return list(_drawn(n_clusters, seed))


def _batches(n_clusters: int) -> list[int]:
    """RESAMPLES in parts that fit in memory."""
    largest = max(1, CELLS // n_clusters)
    return [min(largest, RESAMPLES - done) for done in range(0, RESAMPLES, largest)]


def _times_drawn(drawn: npt.NDArray[np.int64], n_clusters: int) -> Floats:
    """How often each resample holds each cluster: (n_resamples, n_clusters), from numbers alike."""
    rows = np.arange(len(drawn))[:, np.newaxis] * n_clusters
    counts = np.bincount((drawn + rows).ravel(), minlength=drawn.size)
    return counts.reshape(drawn.shape).astype(np.float64)


def _randomization_p(clusters: _Clusters, *, seed: int) -> Floats:
    """Two-sided p of each metric's summed difference, (n_metrics,).

    If base and tuned were the same, each cluster's difference could as well have the other sign.
    All sign patterns are tried where there are fewer than RESAMPLES.
    """
    n_metrics, n_clusters = clusters.sums.shape
    if n_clusters == 1:
        return np.ones(n_metrics)
    observed = clusters.sums.sum(axis=1)
    every = 2**n_clusters <= RESAMPLES
    signs = _every_sign(n_clusters) if every else _drawn_signs(n_clusters, seed)
    totals = np.concatenate([clusters.added_up(part) for part in signs], -1)
    # Sums that are the same but for their rounding; what was observed counts as one of the drawn.
    slack = SAME * np.abs(clusters.sums).sum(axis=1)
    added = 0 if every else 1
    below = (totals <= (observed + slack)[:, np.newaxis]).sum(axis=-1) + added
    above = (totals >= (observed - slack)[:, np.newaxis]).sum(axis=-1) + added
    return np.asarray(np.minimum(1.0, 2 * np.minimum(below, above) / (totals.shape[1] + added)))


def _every_sign(n_clusters: int) -> Iterator[Floats]:
    yield np.array(list(itertools.product((1.0, -1.0), repeat=n_clusters)))


def _drawn_signs(n_clusters: int, seed: int) -> Iterator[Floats]:
    """Random signs, (rows, n_clusters) at a time, drawn as `scipy.stats.permutation_test` does.

    That shuffles pairs of sides with `Generator.permuted`, each by the lowest of 32 random bits;
    here the bits are taken without the shuffling.
    """
    generator = np.random.default_rng(seed).bit_generator
    left = np.empty(0, dtype=np.uint32)
    for rows in _batches(n_clusters):
        size = rows * n_clusters
        # Each 64 bits are two draws, the lower half first.
        halves = generator.random_raw((size - len(left) + 1) // 2).astype("<u8").view("<u4")
        bits = np.concatenate([left, halves])
        left = bits[size:]
        signs: Floats = (bits[:size] & 1).astype(np.float64) * 2 - 1
        yield signs.reshape(rows, n_clusters)
