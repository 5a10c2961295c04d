"""Test questions of a file of their own, and what may be trained on beside them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from test_held_out import GIVEN, PAIRS, TEXTS, document_of, documents, sentence, sizes

from rag_app.errors import PairsError
from rag_app.pairs import Pair, SplitOptions, check_leaks, make_pair, split_around

# Of twenty documents the last five have no pair: a test of them is about new documents.
KNOWN, NEW = [f"d{n}" for n in range(15)], [f"d{n}" for n in range(15, 20)]
TRAINED = replace(GIVEN, pairs=[pair for pair in PAIRS if document_of(pair) in KNOWN])


def asked_of(names: Sequence[str], *, start: int = 5000) -> list[Pair]:
    return [
        make_pair(sentence(start + number), name, None, None, "human")
        for number, name in enumerate(names)
    ]


def test_each_test_question_is_held_out_as_what_it_is() -> None:
    test = asked_of([*NEW, "d0", "d1"])
    split = split_around(TRAINED, test, SplitOptions(), seed=1)
    # A tenth of the 75 pairs is for dev: 7.5, so one document of five.
    assert sizes(split) == [70, 5, 5, 2]
    assert documents(split.test) == set(NEW)
    assert documents(split.known) == {"d0", "d1"} <= documents(split.train)
    assert not documents(split.dev) & documents([*split.train, *test])
    assert (split.test_is_given, split.repeat_test) == (True, 0)
    check_leaks(split, TEXTS, questions=[pair.question for pair in split.train])


def test_pairs_that_ask_nearly_what_the_test_asks_are_not_trained_on() -> None:
    same, near = TRAINED.pairs[0], TRAINED.pairs[7]
    words = near.question.split()
    test = [
        # The same words about another document, and the words of a pair but the last.
        make_pair(same.question.upper(), "d17", None, None, "human"),
        make_pair(" ".join(words[:-1]), near.document_id, None, None, "human"),
    ]
    split = split_around(TRAINED, test, SplitOptions(), seed=1)
    assert split.repeat_test == 2
    assert not {same.id, near.id} & {pair.id for pair in (*split.train, *split.dev)}
    check_leaks(split, TEXTS, questions=[pair.question for pair in split.train])


def test_dev_is_by_question_where_the_test_asks_about_every_document() -> None:
    split = split_around(TRAINED, asked_of(KNOWN), SplitOptions(), seed=1)
    # A tenth of 75, to the even number.
    assert sizes(split) == [67, 8, 0, 15]
    assert split.dev_is_known
    assert documents(split.dev) <= documents(split.train)
    check_leaks(split, TEXTS, questions=[pair.question for pair in split.train])


def test_a_test_may_leave_no_dev() -> None:
    split = split_around(TRAINED, asked_of(NEW), SplitOptions(dev_share=0.0), seed=1)
    assert sizes(split) == [75, 0, 5, 0]
    assert not split.dev_is_known


def test_pairs_that_are_the_test_leave_nothing_to_train_on() -> None:
    with pytest.raises(PairsError, match=r"70 of 75 pairs ask what .* the 5 others are too few"):
        split_around(TRAINED, TRAINED.pairs[:70], SplitOptions(), seed=1)
