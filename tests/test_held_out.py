"""What is held out: documents, or questions of passages that are trained on; folds."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rag_app.errors import ConfigError, LeakError, PairsError
from rag_app.pairs import (
    Pair,
    Split,
    SplitInput,
    SplitOptions,
    check_leaks,
    make_pair,
    question_key,
    split_as_asked,
)
from rag_app.pairs.held_out import HeldOutOption

WORDS = [f"word{n}" for n in range(4000)]
DOCUMENTS = [f"d{n}" for n in range(20)]


def sentence(seed: int, length: int = 12) -> str:
    return " ".join(random.Random(seed).sample(WORDS, length))  # noqa: S311


TEXTS = {name: sentence(number, 40) for number, name in enumerate(DOCUMENTS)}
# Five questions to each document, all in other words.
PAIRS = [
    make_pair(sentence(1000 + 5 * number + place), name, None, None, "human")
    for number, name in enumerate(DOCUMENTS)
    for place in range(5)
]


def document_of(pair: Pair) -> str:
    return pair.document_id


GIVEN = SplitInput(PAIRS, TEXTS, document_of)


def split_of(options: SplitOptions, given: SplitInput = GIVEN, *, seed: int = 1) -> Split:
    [split] = split_as_asked(given, options, seed=seed)
    return split


def documents(pairs: Sequence[Pair]) -> set[str]:
    return {pair.document_id for pair in pairs}


def sizes(split: Split) -> list[int]:
    return [len(part) for part in (split.train, split.dev, split.test, split.known)]


def test_by_question_the_passages_of_what_is_held_out_are_trained_on() -> None:
    split = split_of(SplitOptions(held_out="questions"))
    assert sizes(split) == [60, 10, 0, 30]  # Of 100: .6, .1 and .3.
    assert documents(split.known) <= documents(split.train)
    assert documents(split.dev) <= documents(split.train)
    assert split.held_out_by_question == [*split.dev, *split.known]
    assert split.held_out_by_document == []
    check_leaks(split, TEXTS, questions=[pair.question for pair in split.train])


def test_both_holds_out_documents_and_of_the_others_questions() -> None:
    split = split_of(SplitOptions(held_out="both"))
    assert sizes(split) == [45, 10, 30, 15]
    assert not documents(split.test) & documents([*split.train, *split.dev, *split.known])
    assert documents(split.known) <= documents(split.train)
    by_document = split_of(SplitOptions())
    # Half of the training questions are others, the test is the same.
    assert by_document.test == split.test
    assert sizes(by_document) == [60, 10, 30, 0]
    check_leaks(split, TEXTS, questions=[pair.question for pair in split.train])


def test_auto_is_both_where_enough_passages_have_several_questions() -> None:
    assert sizes(split_of(SplitOptions(held_out="auto")))[3] == 0  # 15 of 100 are fewer than 20.
    twice = [
        make_pair(sentence(9000 + number), pair.document_id, None, None, "human")
        for number, pair in enumerate(PAIRS)
    ]
    many = replace(GIVEN, pairs=[*PAIRS, *twice])
    assert sizes(split_of(SplitOptions(held_out="auto"), many))[3] == 30  # Of 200.


def test_near_wordings_stay_on_one_side() -> None:
    # Nine of ten three-word shingles are the same: 9 / 11 of both.
    near = [
        make_pair(f"{pair.question} please", pair.document_id, None, None, "human")
        for pair in PAIRS
    ]
    given = replace(GIVEN, pairs=[*PAIRS, *near])
    split = split_of(SplitOptions(held_out="questions"), given)
    held = {question_key(pair.question) for pair in split.held_out}
    for pair in PAIRS:
        both = {question_key(pair.question), question_key(f"{pair.question} please")}
        assert not both & held or both <= held


def test_a_question_of_several_passages_is_held_out_for_all_of_them() -> None:
    shared = [make_pair("one question of all", name, None, None, "human") for name in DOCUMENTS]
    given = replace(GIVEN, pairs=[*PAIRS, *shared])
    for seed in range(10):
        split = split_of(SplitOptions(held_out="questions"), given, seed=seed)
        held = sum(pair.question == "one question of all" for pair in split.held_out)
        assert held in (0, 20)


@pytest.mark.parametrize("held_out", ["documents", "questions", "both"])
def test_folds_hold_every_question_out_once(held_out: HeldOutOption) -> None:
    options = SplitOptions(held_out=held_out, folds=5)
    splits = split_as_asked(GIVEN, options, seed=1)
    assert len(splits) == 5
    tested = Counter(pair.id for split in splits for pair in split.test)
    known = Counter(pair.id for split in splits for pair in split.known)
    once = Counter(pair.id for pair in PAIRS)
    assert tested == (Counter() if held_out == "questions" else once)
    if held_out == "questions":
        assert known == once
    elif held_out == "both":
        # A passage that fell to dev in a fold has no question in training there.
        assert set(known.values()) == {1}
        assert len(known) >= 70
    for split in splits:
        check_leaks(split, TEXTS, questions=[pair.question for pair in split.train])
        assert documents(split.known) <= documents(split.train)
        assert not documents(split.test) & documents(split.train)
        # Every fold has 20 of 100, or nearly.
        assert len(split.test) in ((0,) if held_out == "questions" else (20,))


def test_a_wording_of_documents_in_all_folds_is_held_out_by_document_alone() -> None:
    # Near wordings do not join documents, so that these lie in both folds; none is free for them.
    near = [
        make_pair(f"{PAIRS[0].question} {name}", name, None, None, "human") for name in DOCUMENTS
    ]
    given = replace(GIVEN, pairs=[*PAIRS, *near])
    splits = split_as_asked(given, SplitOptions(held_out="both", folds=2), seed=1)
    known = {pair.id for split in splits for pair in split.known}
    assert not known & {pair.id for pair in (*near, PAIRS[0])}
    assert all(split.test for split in splits)


def test_two_folds_leave_each_passage_a_question_to_train_on() -> None:
    # Each fold may hold out by question only what the other one holds out by document.
    for split in split_as_asked(GIVEN, SplitOptions(folds=2), seed=1):
        assert documents(split.train) | documents(split.dev) | documents(split.test) == set(
            DOCUMENTS
        )
        assert len(split.test) == 50
        assert split.train
        assert documents(split.known) <= documents(split.train)


def test_repeats_take_other_folds() -> None:
    splits = split_as_asked(GIVEN, SplitOptions(folds=4, repeats=2), seed=1)
    assert len(splits) == 8
    first, second = ([split.test for split in splits[start : start + 4]] for start in (0, 4))
    assert first != second
    assert [split.test for split in split_as_asked(GIVEN, SplitOptions(folds=4), seed=1)] == first


def test_the_seed_decides_not_the_order() -> None:
    options = SplitOptions(held_out="questions")
    moved = replace(GIVEN, pairs=PAIRS[::-1])
    assert split_of(options).known == split_of(options, moved).known
    assert split_of(options).known != split_of(options, seed=2).known


def test_what_cannot_be_held_out_says_why() -> None:
    single = replace(GIVEN, pairs=PAIRS[::5])
    for held_out in ("questions", "both"):
        with pytest.raises(PairsError, match=r"none of the 20 pairs shares its passage"):
            split_of(SplitOptions(held_out=held_out), single)
    one = [make_pair(sentence(5000 + n), "d0", None, None, "human") for n in range(30)]
    with pytest.raises(PairsError, match="all 30 questions are about one passage"):
        split_of(SplitOptions(held_out="questions"), replace(GIVEN, pairs=one))
    with pytest.raises(PairsError, match=r"about 20 documents .* too few for 21 folds"):
        split_as_asked(GIVEN, SplitOptions(folds=21), seed=1)
    with pytest.raises(ConfigError, match="--repeats repeats folds"):
        split_of(SplitOptions(repeats=2))
    with pytest.raises(ConfigError, match="folds are 2 or more"):
        split_as_asked(GIVEN, SplitOptions(folds=1), seed=1)
    with pytest.raises(ConfigError, match="takes one of: auto, documents, questions, both"):
        split_of(SplitOptions(held_out="document"))  # type: ignore[arg-type]


def test_folds_of_two_documents_leave_none_for_dev() -> None:
    pairs = [
        make_pair(sentence(7000 + n), DOCUMENTS[n % 2], None, None, "human") for n in range(24)
    ]
    given = replace(GIVEN, pairs=pairs)
    with pytest.raises(PairsError, match="one of the 2 folds leaves pairs about 1 document or"):
        split_as_asked(given, SplitOptions(folds=2, held_out="documents"), seed=1)
    by_document = SplitOptions(folds=2, dev_share=0.0, held_out="documents")
    without_dev = split_as_asked(given, by_document, seed=1)
    assert [len(split.test) for split in without_dev] == [12, 12]


def test_auto_folds_with_few_questions_of_known_passages_hold_out_documents_alone() -> None:
    # Two wordings for each of ten passages can be held out; some fall to dev with their documents.
    pairs = [pair for pair in PAIRS if PAIRS.index(pair) % 5 < 2][:20] + PAIRS[50::5]
    given = replace(GIVEN, pairs=pairs)
    both = split_as_asked(given, SplitOptions(folds=5, held_out="both"), seed=1)
    assert 0 < sum(len(split.known) for split in both) < 20
    auto = split_as_asked(given, SplitOptions(folds=5, held_out="auto"), seed=1)
    alone = split_as_asked(given, SplitOptions(folds=5, held_out="documents"), seed=1)
    assert auto == alone


def test_a_near_wording_in_training_is_a_leak() -> None:
    split = split_of(SplitOptions(held_out="questions"))
    near = f"{split.known[0].question} please"
    with pytest.raises(LeakError, match="nearly the same wording"):
        check_leaks(split, TEXTS, questions=[near])
    moved = replace(split, train=[*split.train, split.known[0]])
    with pytest.raises(LeakError, match="one question in two parts"):
        check_leaks(moved, TEXTS)
