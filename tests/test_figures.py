"""How figures are written: one form for command line, notebooks, reports and model cards."""

import math

import pytest

from rag_app.cli import scores
from rag_app.evaluate.figures import change, change_with_interval, p_value, score, with_interval
from rag_app.evaluate.statistics import Difference, Estimate
from rag_app.finetune.data.dev import DEV_METRIC
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.train.both_trainers import report_of


@pytest.mark.parametrize(
    ("value", "wide", "narrow"),
    [(0.5734, ".573", ".573"), (1.0, "1.000", "1.00"), (0, ".000", ".000")],
)
def test_scores_have_no_zero_before_the_point(value: float, wide: str, narrow: str) -> None:
    assert (score(value), scores.figure(value)) == (wide, narrow)
    assert (change(value), scores.signed(value)) == (f"+{wide}", f"+{narrow}")
    assert change(-value) == (f"-{wide}" if value else "+.000")


def test_intervals_and_p() -> None:
    assert with_interval(Estimate(0.561, 0.52, 1)) == ".561 [.520, 1.000]"
    # The interval holds 0, and its end says so.
    assert change_with_interval(Difference(0.042, -0.0004, 0.07, 0.06, 0.05)) == (
        "+.042 [-.000, +.070]"
    )
    assert [p_value(p) for p in (0.0002, 0.042, 1)] == ["<.001", ".042", "1.000"]
    assert p_value(1, scores.figure) == "1.00"


def test_a_training_report_holds_no_loss_that_is_no_number() -> None:
    history = [
        {"loss": 0.5, "epoch": 0.5},
        {"loss": math.nan},
        {f"eval_{DEV_METRIC}": 0.25},
        {f"eval_{DEV_METRIC}": 0.5},
    ]
    report = report_of(
        history, TrainingOptions(epochs=2), "cpu", seconds=1.234, pairs_per_second=5.678
    )
    assert (report.losses, report.dev_mrr, report.best_epoch) == ([0.5], [0.25, 0.5], 2)
    assert (report.seconds, report.pairs_per_second, report.saved_dev_mrr) == (1.23, 5.68, 0.5)
