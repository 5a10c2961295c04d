"""The recipe that a refit follows, and what refuses it."""

from collections.abc import Sequence

import numpy as np

from rag_app.evaluate.comparison import compare_outcomes
from rag_app.evaluate.scoring import Outcome, score_rankings
from rag_app.finetune.data.dev import DevSet, certainly_fell_on_dev
from rag_app.finetune.phase import Phase
from rag_app.finetune.phases import FixedPhase
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
    assert "out-of-domain" in why_refused(fell, fell_on_dev=False)
    assert why_refused(rose, fell_on_dev=False) == why_refused(None, fell_on_dev=False) == ""


def test_a_refit_that_certainly_fell_on_dev_is_refused() -> None:
    assert "dev questions" in why_refused(None, fell_on_dev=True)


def fell(before: Sequence[float], after: Sequence[float], documents: int) -> bool:
    """On dev questions that so many documents answer in turn."""
    count = len(before)
    clusters = [f"d{n % documents}" for n in range(count)]
    dev = DevSet([""] * count, [frozenset()] * count, [], clusters)
    return certainly_fell_on_dev(dev, np.array(before), np.array(after), seed=13)


def test_half_of_fifty_dev_questions_lost_is_a_certain_fall() -> None:
    judged, refit = [1.0] * 50, [1.0, 0.0] * 25
    assert fell(judged, refit, 50)
    assert not fell(refit, judged, 50)
    # Questions about one document succeed and fail together.
    assert not fell(judged, [1.0] * 25 + [0.0] * 25, 5)


def test_a_few_dev_questions_tell_nothing_for_certain() -> None:
    # From the first place to the second.
    assert not fell([1, 1], [0.5, 0.5], 2)
    # All of one sign: 2 / 2^5 = .06, 2 / 2^6 = .03.
    assert not fell([1] * 5, [0.5] * 5, 5)
    assert fell([1] * 6, [0.5] * 6, 6)


def test_without_clusters_each_dev_question_is_one() -> None:
    dev = DevSet([""] * 6, [frozenset()] * 6, [])
    assert certainly_fell_on_dev(dev, np.ones(6), np.full(6, 0.5), seed=13)
