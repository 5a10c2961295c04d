"""Hard and random negatives, with vectors on a quarter circle that one can compute in the head."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rag_app.finetune.data.negatives import (
    DEPTH,
    POSITIVE_SHARE,
    NegativePool,
    as_many_each,
    mined_negatives,
    random_negatives,
)
from rag_app.finetune.options import TrainingRow
from rag_app.vectors import Vectors


def with_cosine(*cosines: float) -> Vectors:
    """Unit vectors with these cosines to (1, 0)."""
    return np.array([(c, np.sqrt(1 - c * c)) for c in cosines], dtype=np.float32)


ROW = TrainingRow("question", "right", "group")
QUESTION = with_cosine(1.0)
# The limit of what may be a negative is .95 x .8 = .76.
RIGHT = with_cosine(0.8)


def mine(
    pool: NegativePool, passages: Vectors, count: int, *, cluster: str = "own", seed: int = 13
) -> tuple[str, ...]:
    """The negatives of one question whose passage has a cosine of .8."""
    [row] = mined_negatives(
        [ROW],
        [cluster],
        pool,
        count,
        questions=QUESTION,
        positives=RIGHT,
        passages=passages,
        seed=seed,
    )
    assert (row.question, row.passage, row.group) == ("question", "right", "group")
    return row.negatives


TEXTS = ["nearer", "as good", "hard", "harder", "twin", "easy"]
POOL = NegativePool(TEXTS, ["a", "b", "c", "d", "own", "e"])
COSINES = with_cosine(0.9, 0.78, 0.6, 0.7, 0.65, 0.1)


def test_the_nearest_passages_that_are_clearly_less_near_are_mined() -> None:
    assert pytest.approx(0.76) == POSITIVE_SHARE * 0.8
    assert mine(POOL, COSINES, 1) == ("harder",)
    assert mine(POOL, COSINES, 3) == ("harder", "hard", "easy")


def test_passages_of_the_answers_cluster_are_never_negatives() -> None:
    assert mine(POOL, COSINES, 2, cluster="own") == ("harder", "hard")
    assert mine(POOL, COSINES, 3, cluster="other") == ("harder", "twin", "hard")


def test_just_below_and_just_above_the_margin() -> None:
    pool = NegativePool(["above", "below"], ["a", "b"])
    assert mine(pool, with_cosine(0.761, 0.759), 1) == ("below",)


def test_the_margin_follows_each_questions_own_passage() -> None:
    rows = [TrainingRow("q1", "p1", "g1"), TrainingRow("q2", "p2", "g2")]
    pool = NegativePool(["at .8", "at .5"], ["a", "b"])
    mined = mined_negatives(
        rows,
        ["own", "own"],
        pool,
        1,
        questions=with_cosine(1.0, 1.0),
        # .95 x 1 = .95 lets both pass, .95 x .6 = .57 only the second.
        positives=with_cosine(1.0, 0.6),
        passages=with_cosine(0.8, 0.5),
        seed=13,
    )
    assert [row.negatives for row in mined] == [("at .8",), ("at .5",)]


def test_a_text_that_stands_twice_is_one_negative() -> None:
    pool = NegativePool(["same", "same", "other"], ["a", "b", "c"])
    assert mine(pool, with_cosine(0.7, 0.7, 0.5), 2) == ("same", "other")


def test_random_ones_make_up_the_number() -> None:
    # The nearest passages may all be right; those that are mined from do not reach further.
    texts = [f"near{i}" for i in range(DEPTH)] + [f"far{i}" for i in range(DEPTH)]
    clusters = [f"cluster{text}" for text in texts]
    cosines = with_cosine(*[0.79] * (DEPTH - 1), 0.5, *[0.1] * DEPTH)
    found = mine(NegativePool(texts, clusters), cosines, 3)
    assert len(found) == 3
    assert found[0] == f"near{DEPTH - 1}"
    assert set(found) <= set(texts)
    assert found == mine(NegativePool(texts, clusters), cosines, 3)
    assert found != mine(NegativePool(texts, clusters), cosines, 3, seed=14)


ROWS = [TrainingRow(f"q{i}", f"p{i}", f"g{i}") for i in range(40)]
MANY = NegativePool([f"text{i}" for i in range(20)], [f"c{i % 4}" for i in range(20)])


def test_random_negatives_are_of_other_clusters() -> None:
    clusters = [f"c{i % 4}" for i in range(len(ROWS))]
    cluster_of = dict(zip(MANY.texts, MANY.clusters, strict=True))
    found = random_negatives(ROWS, clusters, MANY, 3, seed=13)
    for row, cluster in zip(found, clusters, strict=True):
        assert len(set(row.negatives)) == 3
        assert cluster not in {cluster_of[text] for text in row.negatives}
    assert [row.question for row in found] == [row.question for row in ROWS]
    # 120 drawn of 20 texts: none is a favourite, none is forgotten.
    drawn = Counter(text for row in found for text in row.negatives)
    assert len(drawn) == 20
    assert max(drawn.values()) < 20


def test_random_negatives_are_the_same_for_a_seed() -> None:
    clusters = ["c0"] * len(ROWS)
    one, again, other = (random_negatives(ROWS, clusters, MANY, 2, seed=s) for s in (1, 1, 2))
    assert one == again != other


def test_as_many_random_negatives_as_there_are() -> None:
    pool = NegativePool(["own1", "own2", "a", "b"], ["own", "own", "x", "y"])
    [row] = random_negatives([ROW], ["own"], pool, 5, seed=13)
    assert set(row.negatives) == {"a", "b"}
    [alone] = random_negatives([ROW], ["own"], NegativePool(["own1"], ["own"]), 5, seed=13)
    assert alone.negatives == ()


def test_the_fill_repeats_nothing_and_takes_nothing_too_near() -> None:
    pool = NegativePool(["hard", "as good"], ["a", "b"])
    found = [mine(pool, with_cosine(0.6, 0.79), 2, seed=s) for s in range(5)]
    assert found == [("hard",)] * 5


def test_a_large_cluster_hides_no_negative() -> None:
    pool = NegativePool([*(f"own{i}" for i in range(200)), "other"], ["own"] * 200 + ["x"])
    found = [random_negatives([ROW], ["own"], pool, 1, seed=s)[0].negatives for s in range(5)]
    assert found == [("other",)] * 5


def test_who_has_fewer_negatives_gets_passages_of_other_groups() -> None:
    rows = [
        TrainingRow("q0", "p0", "a", ("n1", "n2", "n3")),
        TrainingRow("q1", "p1", "b", ("p3",)),
        TrainingRow("q2", "p2", "b"),
        TrainingRow("q3", "p3", "c"),
        TrainingRow("q4", "p3", "d"),
    ]
    filled = as_many_each(rows)
    assert [replace(row, negatives=()) for row in filled] == [
        replace(row, negatives=()) for row in rows
    ]
    assert [row.negatives for row in filled] == [
        ("n1", "n2", "n3"),
        ("p3", "p0"),  # neither its own group's nor one twice, and there are no more
        ("p3", "p0"),
        ("p0", "p1", "p2"),
        ("p0", "p1", "p2"),
    ]
    assert as_many_each(rows[2:]) == rows[2:]


def test_no_answer_of_a_question_fills_up_its_negatives() -> None:
    rows = [
        TrainingRow("q0", "p0", "a", ("n1", "n2", "n3")),
        TrainingRow("which?", "p1", "b"),
        TrainingRow("Which", "p2", "c"),
        TrainingRow("q3", "p2", "d"),
        TrainingRow("q4", "p4", "e"),
    ]
    filled = as_many_each(rows)
    # Both passages answer "which?", whatever else they answer.
    assert [row.negatives for row in filled[1:3]] == [("p4", "p0"), ("p4", "p0")]
    assert filled[3].negatives == ("p4", "p0", "p1")


def test_without_negatives_none_are_added() -> None:
    assert as_many_each([]) == []
