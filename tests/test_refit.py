"""The recipe that a refit follows, and what refuses it."""

import numpy as np

from rag_app.evaluate.comparison import compare_outcomes
from rag_app.evaluate.scoring import Outcome, score_rankings
from rag_app.finetune.phases import FixedPhase, Phase
from rag_app.finetune.refit import common_recipe, why_refused
from rag_app.pairs import Question

WEIGHTS, ADAPTER = Phase("full", "mnrl"), Phase("adapter", "mnrl")


def test_of_folds_each_phase_takes_the_median_of_its_epochs() -> None:
    recipes = [
        (FixedPhase(WEIGHTS, epochs, None), FixedPhase(ADAPTER, 10 * epochs, 1.0))
        for epochs in (1, 4, 5)
    ]
    assert common_recipe(recipes) == (
        FixedPhase(WEIGHTS, 4, None),
        FixedPhase(ADAPTER, 40, 1.0),
    )


def test_a_phase_that_most_folds_left_out_is_left_out() -> None:
    alone = (FixedPhase(WEIGHTS, 2, None),)
    both = (*alone, FixedPhase(ADAPTER, 20, 1.0))
    assert common_recipe([alone, both, alone]) == alone
    assert common_recipe([alone, both, both]) == both


def outcomes(rank: int) -> list[Outcome]:
    questions = [
        Question(str(n), f"question {n}", (frozenset([f"c{n}"]),), f"d{n}") for n in range(20)
    ]
    found = score_rankings(questions, [[] for _ in questions])
    return found if rank == 0 else [hit(one) for one in found]


def hit(outcome: Outcome) -> Outcome:
    values = dict.fromkeys(outcome.values, 1.0)
    return Outcome(
        outcome.question_id,
        outcome.question,
        outcome.cluster,
        outcome.gold,
        outcome.gold[0],
        [1.0],
        1,
        values,
    )


def test_a_refit_that_certainly_fell_out_of_domain_is_refused() -> None:
    fell = compare_outcomes(outcomes(1), outcomes(0), seed=1)
    rose = compare_outcomes(outcomes(0), outcomes(1), seed=1)
    assert "out-of-domain" in why_refused(fell, None)
    assert why_refused(rose, None) == why_refused(None, None) == ""


def test_a_refit_that_certainly_fell_on_dev_is_refused() -> None:
    judged = np.ones(50)
    # Half of the questions are lost: a fall of .5 with a standard error of .07.
    refit = np.tile([1.0, 0.0], 25)
    assert "dev questions" in why_refused(None, (judged, refit))
    assert why_refused(None, (refit, judged)) == ""
