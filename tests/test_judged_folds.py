"""What held-out questions of folds and of repeated folds say together."""

from collections.abc import Sequence

from rag_app.evaluate.comparison import Comparison, compare_outcomes
from rag_app.evaluate.folds import fold_numbers, of_fold
from rag_app.evaluate.scoring import Outcome, score_rankings
from rag_app.finetune.judge import judge_held_out, name_uncertain_parts
from rag_app.finetune.trial import BaseAndTuned
from rag_app.pairs import HeldOut, Question
from rag_app.retrieve.trace import Ranking

# Of forty questions, two folds of twenty each.
FOLDS = (range(20), range(20, 40))


def outcomes(numbers: Sequence[int], found: Sequence[int]) -> list[Outcome]:
    """Each question's passage is found first or not at all."""
    asked = [Question(f"q{n}", f"question {n}", (frozenset([f"c{n}"]),), f"d{n}") for n in numbers]
    rankings: list[Ranking] = [[] for _ in asked]
    missed = score_rankings(asked, rankings)
    return [
        Outcome(
            one.question_id,
            one.question,
            one.cluster,
            one.gold,
            one.gold[0],
            [1.0],
            1,
            dict.fromkeys(one.values, 1.0),
        )
        if number in found
        else one
        for number, one in zip(numbers, missed, strict=True)
    ]


def fold(numbers: Sequence[int]) -> dict[HeldOut, BaseAndTuned]:
    """Tuning gains three in twenty and loses one."""
    first = numbers[0]
    base = outcomes(numbers, [first, first + 1])
    tuned = outcomes(numbers, [first, first + 2, first + 3, first + 4])
    return {"documents": BaseAndTuned(base, tuned)}


def test_a_question_that_repeats_ask_again_counts_once() -> None:
    once, verdict = judge_held_out([fold(numbers) for numbers in FOLDS], seed=1)
    splits = [fold(numbers) for _ in range(3) for numbers in FOLDS]
    thrice, repeated = judge_held_out(splits, seed=1)
    assert once["documents"].n == thrice["documents"].n == 40
    assert len(thrice["documents"].base_outcomes) == 120
    # What is asked three times is no more evidence, nor are three times as many needed.
    assert "on 40 new questions about new documents" in repeated.reason
    assert repeated.reason.rpartition("about ")[2] == verdict.reason.rpartition("about ")[2]
    assert thrice["documents"].to_json()["n"] == 40


def test_a_gain_that_is_the_retrievers_alone_says_so() -> None:
    every = range(40)
    base, hybrid = outcomes(every, []), outcomes(every, range(20))
    whole = compared(base, outcomes(every, range(21)))
    parts = {"base, hybrid:0.7": compared(base, hybrid), "tuned, vector": compared(base, base)}
    assert whole.verdict.decision == "promote"
    verdict = name_uncertain_parts(whole.verdict, whole, parts, seed=1)
    assert verdict.decision == "promote"
    # One more of forty; the retriever's part, 21 of 40, is certain and goes unsaid.
    added = "; the tuned model itself adds nothing certain (+.025 [+.000, +.075] over base, "
    assert verdict.reason == f"{whole.verdict.reason}{added}hybrid:0.7)"


def test_a_gain_that_is_the_models_alone_says_so() -> None:
    every = range(40)
    base, tuned = outcomes(every, []), outcomes(every, range(20))
    whole = compared(base, tuned)
    parts = {"base, hybrid:0.7": compared(base, base), "tuned, vector": compared(base, tuned)}
    verdict = name_uncertain_parts(whole.verdict, whole, parts, seed=1)
    added = "; the retriever itself adds nothing certain (+.000 [+.000, +.000] over tuned, vector)"
    assert verdict.reason == whole.verdict.reason + added
    # Nothing is said of what is not promoted.
    held = compared(base, base)
    assert name_uncertain_parts(held.verdict, held, parts, seed=1) == held.verdict


def compared(base: list[Outcome], tuned: list[Outcome]) -> Comparison:
    return compare_outcomes(base, tuned, seed=1)


def test_outcomes_of_folds_know_their_fold() -> None:
    one, other = (of_fold(outcomes(numbers, []), at) for at, numbers in enumerate(FOLDS, 1))
    folds = fold_numbers([*one, *other])
    assert folds is not None
    assert [folds[f"1 q{n}"] for n in FOLDS[0]] == [1] * 20
    assert [folds[f"2 q{n}"] for n in FOLDS[1]] == [2] * 20
    assert fold_numbers(outcomes(FOLDS[0], [])) is None
