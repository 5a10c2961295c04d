"""Intervals for curves and groups, quick also for a hundred thousand questions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.statistics import Estimate, mean_intervals

Floats = npt.NDArray[np.float64]

# Of more clusters than these the means are normal to three digits, and resampling takes minutes.
MANY_CLUSTERS = 2_000
QUANTILE = 1.96


def intervals(
    names: Sequence[str], values: Floats, *, seed: int, lowest: float = 0.0
) -> list[Estimate]:
    """Mean and 95 % interval of each row of values, (n_rows, n_questions), by cluster.

    Up to 2,000 clusters the bootstrap that scores have elsewhere, with the same seed and so the
    same interval; beyond, the normal interval of a ratio of sums of clusters (Cochran, Sampling
    Techniques, 1977, 6.4).

    Arguments:
        lowest: the least value that a mean can have; the greatest is 1.
    """
    if len(set(names)) <= MANY_CLUSTERS:
        return mean_intervals(names, values, seed=seed, lowest=lowest)
    _, place = np.unique(names, return_inverse=True)
    questions = np.bincount(place).astype(np.float64)
    sums = np.stack([np.bincount(place, weights=row) for row in values])
    total, count = questions.sum(), len(questions)
    means = sums.sum(axis=1) / total
    spread = sums - np.outer(means, questions)
    error = np.sqrt((spread**2).sum(axis=1) * count / (count - 1)) / total
    low = np.clip(means - QUANTILE * error, lowest, 1.0)
    high = np.clip(means + QUANTILE * error, lowest, 1.0)
    columns = zip(means.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(*column) for column in columns]


def hit_curve(outcomes: Sequence[Outcome], *, deepest: int, seed: int) -> list[Estimate]:
    """Hit rate at 1, 2, ... `deepest`."""
    ranks = np.array([outcome.rank or np.inf for outcome in outcomes])
    hits = (ranks[np.newaxis, :] <= np.arange(1, deepest + 1)[:, np.newaxis]).astype(np.float64)
    return intervals([outcome.cluster for outcome in outcomes], hits, seed=seed)


def depth_of(*runs: Sequence[Outcome]) -> int:
    """How deep all runs kept their rankings, 20 at most."""
    from rag_app.evaluate.scoring import KEPT_RANKS

    kept = [max((len(outcome.retrieved) for outcome in run), default=0) for run in runs]
    return min([KEPT_RANKS, *kept])
