"""Intervals and p are SciPy's to the last digits, and cost no import of it."""

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from report_runs import outcome as reported
from scipy.stats import bootstrap, permutation_test

from rag_app.evaluate.resampling import RESAMPLES
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.statistics import compare_scores, difference, differences, summarise

Floats = npt.NDArray[np.float64]


def outcome(number: int, value: float, cluster: str) -> Outcome:
    values = {"mrr@10": value}
    return Outcome(f"q{number}", "asked", cluster, [["c"]], [], [], None, values)


def ranked(number: int, rank: int | None, *, cluster: str) -> Outcome:
    return replace(reported(number, rank), cluster=cluster)


def run(values: list[float], per_cluster: int) -> list[Outcome]:
    return [outcome(n, value, f"d{n // per_cluster:04}") for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("questions", "per_cluster"), [(9, 1), (26, 2), (90, 3), (400, 1), (401, 1)]
)
def test_differences_are_those_of_scipy(questions: int, per_cluster: int) -> None:
    """On eighths, which add up without rounding; 9 and 13 clusters have their every sign tried."""
    draw = np.random.default_rng(questions)
    base, tuned = ((draw.integers(0, 9, questions) / 8).tolist() for _ in range(2))
    found = difference(run(base, per_cluster), run(tuned, per_cluster), "mrr@10", seed=7)
    apart = np.array(tuned) - np.array(base)
    sums = np.array([sum(apart[at : at + per_cluster]) for at in range(0, questions, per_cluster)])
    sizes = np.array([min(per_cluster, questions - at) for at in range(0, questions, per_cluster)])

    def mean(drawn: npt.NDArray[np.int64], axis: int) -> Any:
        return sums[drawn].sum(axis=axis) / sizes[drawn].sum(axis=axis)

    def total(signs: Floats, axis: int) -> Any:
        return (np.moveaxis(signs, axis, -1) * sums).sum(axis=-1)

    drawn = bootstrap(
        (np.arange(len(sums)),),
        mean,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(7),
    )
    tested = permutation_test(
        (np.ones(len(sums)),),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(7),
    )
    low, high = drawn.confidence_interval
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.smallest_detectable == pytest.approx(min(2.8 * drawn.standard_error, 1), abs=1e-12)
    assert found.p == tested.pvalue


def test_both_runs_and_their_differences_come_from_one_draw() -> None:
    """To the last digit what each is by itself, whether or not hits alone are whole numbers."""
    draw = np.random.default_rng(5)
    # 701 clusters: so many that draws are not kept, and one batch has an odd number of them.
    base, tuned = (
        [
            ranked(n, rank or None, cluster=f"d{n // 2}")
            for n, rank in enumerate(draw.integers(0, 13, 1402).tolist())
        ]
        for _ in range(2)
    )
    tuned.reverse()
    found = compare_scores(base, tuned, seed=3)
    assert found[0] == summarise(base, seed=3)
    assert found[1] == summarise(tuned, seed=3)
    assert found[2] == differences(base, tuned, seed=3)


def test_runs_with_other_clusters_are_compared() -> None:
    """Each run's own are resampled for its scores: from a single one no spread can be told."""
    base = [ranked(n, 1 + n % 3, cluster=f"d{n}") for n in range(30)]
    tuned = [replace(one, cluster="all") for one in base]
    before, after, _ = compare_scores(base, tuned, seed=3)
    assert before == summarise(base, seed=3)
    assert (after["mrr@10"].low, after["mrr@10"].high) == (0, 1)


def test_signs_that_add_up_to_the_same_count_as_the_same() -> None:
    """+.1 +.2 -.3 is 5e-17 in binary: of 8 sign patterns 2 add up to 0, 3 to less, 3 to more."""
    base, tuned = [0.0, 0.0, 0.3], [0.1, 0.2, 0.0]
    # 5 of 8 are as small as what was observed, as many as large: twice that, at most 1.
    assert difference(run(base, 1), run(tuned, 1), "mrr@10", seed=1).p == 1
    # 2 of 8 patterns are as far out as .1 + .2 + .3.
    assert difference(run([0.0] * 3, 1), run([0.1, 0.2, 0.3], 1), "mrr@10", seed=1).p == 2 / 8


def test_comparing_outcomes_imports_no_scipy_and_no_retriever() -> None:
    names = ("scipy", "llama_index", "chromadb", "torch", "sentence_transformers")
    code = (
        "import sys; from rag_app.evaluate.comparison import compare_outcomes; "
        f"print([name for name in {names} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
