"""Clusters of questions, resampled: means in each resample, and p of their summed differences.

What is drawn, and what is made of it, is what `scipy.stats.bootstrap` (percentile) and
`permutation_test` (samples) draw and make; a test holds them together. They are not called, since
scipy.stats takes longer to import than a gate may take.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Clusters:
    """Values added up by cluster: sums (n_metrics, n_clusters), questions (n_clusters,)."""

    sums: Floats
    questions: Floats

    @property
    def count(self) -> int:
        """Number of clusters."""
        return len(self.questions)

    @property
    def means(self) -> Floats:
        """Mean of each metric over all questions, (n_metrics,)."""
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


def add_up(names: Sequence[str], values: Floats) -> Clusters:
    """Sums by cluster of values, (n_metrics, n_outcomes), whose clusters are named in order."""
    _, place = np.unique(names, return_inverse=True)
    sums = np.stack([np.bincount(place, weights=row) for row in values])
    return Clusters(sums.astype(np.float64), np.bincount(place).astype(np.float64))


def resampled(every: Sequence[Clusters], *, seed: int) -> list[Floats]:
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


def interval(means: Floats, *, lowest: float) -> tuple[Floats, Floats, Floats]:
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


def randomization_p(clusters: Clusters, *, seed: int) -> Floats:
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
