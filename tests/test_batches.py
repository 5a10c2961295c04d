"""Every row once, no group twice in a batch, batches of nearly one size."""

import math
import random
from collections import Counter

import pytest
from datasets import Dataset

from rag_app.finetune.data.batches import (
    CleanBatchSampler,
    batch_count,
    clean_batches,
    deal_batches,
    groups_against,
)
from rag_app.finetune.options import TrainingRow


def random_groups(seed: int) -> list[str]:
    """10 to 120 rows of a few large groups and many small ones."""
    rng = random.Random(seed)  # noqa: S311
    kinds = rng.randint(3, 60)
    return [f"g{int(kinds * rng.random() ** 2)}" for _ in range(rng.randint(10, 120))]


@pytest.mark.parametrize("seed", range(30))
def test_batches_are_clean(seed: int) -> None:
    groups, batch_size = random_groups(seed), 2 + seed % 9
    batches = deal_batches(groups, batch_size, seed=seed)
    assert sorted(row for batch in batches for row in batch) == list(range(len(groups)))
    for batch in batches:
        assert len({groups[row] for row in batch}) == len(batch)
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
    assert len(batches) == batch_count(groups, batch_size)


def test_batch_count_by_hand() -> None:
    assert batch_count(["a", "b", "c", "d", "e"], 2) == 3  # ceil(5 / 2)
    assert batch_count(["a", "a", "a", "a", "b"], 2) == 4  # four rows of `a` never meet


def test_a_group_larger_than_the_batches_there_would_be_makes_more() -> None:
    groups = ["big"] * 9 + [f"small{i}" for i in range(7)]
    batches = deal_batches(groups, 8, seed=1)
    assert len(batches) == 9 > math.ceil(16 / 8)
    assert all(sum(groups[row] == "big" for row in batch) == 1 for batch in batches)
    assert Counter(map(len, batches)) == {2: 7, 1: 2}


def test_one_group_alone_gives_batches_of_one() -> None:
    assert sorted(deal_batches(["a", "a", "a"], 32, seed=0)) == [[0], [1], [2]]


def test_a_negative_is_against_the_rows_that_it_answers() -> None:
    rows = [
        TrainingRow("q1", "one", "a", ("two", "of no row")),
        TrainingRow("q2", "two", "b", ("of no row",)),
        TrainingRow("q3", "two", "c", ("one", "two")),
    ]
    assert groups_against(rows) == [{"b", "c"}, frozenset(), {"a", "b", "c"}]


def test_an_answer_is_against_the_other_answers_of_its_question() -> None:
    rows = [
        TrainingRow("How much?", "one", "a"),
        TrainingRow("how much", "two", "b"),
        TrainingRow("how much?", "two again", "b"),
        TrainingRow("how long?", "three", "c"),
        # Passages that are trained on alone have no question in common.
        TrainingRow("", "four", "d"),
        TrainingRow("", "five", "e"),
    ]
    assert groups_against(rows) == [{"b"}, {"a"}, {"a"}, frozenset(), frozenset(), frozenset()]


def clashes(batches: list[list[int]], groups: list[str], against: list[frozenset[str]]) -> int:
    """Pairs of a row and another in its batch whose passage it has as a negative."""
    return sum(
        groups[other] in against[row]
        for batch in batches
        for row in batch
        for other in batch
        if other != row
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("batch_size", "share_left"), [(8, 0.05), (64, 0.5)])
def test_rows_do_not_meet_the_questions_that_their_negatives_answer(
    seed: int, batch_size: int, share_left: float
) -> None:
    rng = random.Random(seed)  # noqa: S311
    groups = [f"g{row // 2}" for row in range(200)]
    against = [frozenset(rng.sample(groups, 2)) - {group} for group in groups]
    plain = deal_batches(groups, batch_size, seed=seed)
    before = clashes(plain, groups, against)
    assert before > 5
    batches = deal_batches(groups, batch_size, seed=seed, against=against)
    # Among the fifty of a large batch everybody meets somebody.
    assert clashes(batches, groups, against) <= share_left * before
    # All else is as it was.
    assert sorted(row for batch in batches for row in batch) == list(range(200))
    assert list(map(len, batches)) == list(map(len, plain))
    assert all(len({groups[row] for row in batch}) == len(batch) for batch in batches)
    # Rows against nobody change nothing.
    nobody = [frozenset[str]()] * 200
    assert deal_batches(groups, batch_size, seed=seed, against=nobody) == plain


def test_rows_that_must_meet_do() -> None:
    # One batch holds all.
    [batch] = deal_batches(["a", "b"], 2, seed=0, against=[frozenset("b"), frozenset()])
    assert sorted(batch) == [0, 1]


def test_the_seed_decides() -> None:
    groups = random_groups(3)
    assert deal_batches(groups, 8, seed=5) == deal_batches(groups, 8, seed=5)
    assert deal_batches(groups, 8, seed=5) != deal_batches(groups, 8, seed=6)


def test_epochs_differ_from_each_other_and_from_the_next_seed() -> None:
    groups = [f"g{i}" for i in range(40)]
    rows = Dataset.from_dict({"anchor": groups})

    def epoch(seed: int, number: int) -> list[list[int]]:
        sampler = CleanBatchSampler(rows, groups=groups, batch_size=8, seed=seed)
        sampler.set_epoch(number)
        return list(sampler)

    dealt = [epoch(seed, number) for seed in (1, 2) for number in (0, 1, 2)]
    assert all(dealt[i] != dealt[j] for i in range(6) for j in range(i))
    assert epoch(1, 2) == dealt[2]


def test_what_the_trainer_calls_gives_a_sampler_of_the_right_length() -> None:
    groups = ["a"] * 5 + ["b"] * 4
    rows = Dataset.from_dict({"anchor": groups})
    make = clean_batches(groups)
    sampler = make(rows, batch_size=4, drop_last=False, valid_label_columns=["label"], seed=7)
    assert len(sampler) == len(list(sampler)) == 5
