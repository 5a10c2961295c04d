"""Near-duplicates stay together, parts have the sizes asked for, and planted leaks are found."""

import itertools
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rag_app.errors import ConfigError, LeakError, PairsError
from rag_app.pairs import Pair, Split, check_leaks, cluster_documents, make_pair, split_pairs
from rag_app.text.near_duplicates import shingles

WORDS = [f"w{number}" for number in range(500)]


def sentence(seed: int, words: int = 20) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))  # noqa: S311


TEXTS = {f"d{number}": sentence(number) for number in range(60)}
PAIRS = [make_pair(f"q{d} {n}?", f"d{d}", None, None, "human") for d in range(60) for n in (1, 2)]


def groups(clusters: dict[str, str]) -> set[frozenset[str]]:
    names = set(clusters.values())
    return {frozenset(key for key in clusters if clusters[key] == name) for name in names}


def parts(split: Split) -> dict[str, list[Pair]]:
    return {"train": split.train, "dev": split.dev, "test": split.test}


def test_documents_with_half_their_shingles_in_common_are_one_cluster() -> None:
    texts = {
        # Shingles: abc bcd cde def; the second has 3 of them and one of its own: 3/5.
        "a": "A b, c d e f",
        "b": "b c d e f. g",
        # 2 in common with the second (def efg), of 4 and 4: 2/6.
        "c": "d e f g h i",
        # Under three words: only the same text is the same.
        "d": "a b",
        "e": " A  B",
        "f": "a",
    }
    assert groups(cluster_documents(texts)) == {frozenset("ab"), *map(frozenset, ("c", "de", "f"))}
    linked = cluster_documents(texts, [("c", "f"), ("f", "d")])
    assert groups(linked) == {frozenset("ab"), frozenset("cdef")}
    assert cluster_documents({}) == {}


def test_shingles_are_the_same_in_every_process() -> None:
    text = "Die Rücksendung kostet 2.500원, sagt der Händler.\ud800"
    code = f"from rag_app.text.near_duplicates import shingles; print(sorted(shingles({text!a})))"
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(Path(__file__).parents[1]),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found == [f"{sorted(shingles(text))}\n"] * 2
    # die rücksendung kostet, rücksendung kostet 2, ..., sagt der händler.
    assert len(shingles(text)) == 6
    assert all(0 <= shingle < 2**63 for shingle in shingles(text))


def test_clusters_are_transitive_and_named_by_their_texts() -> None:
    chain = {f"d{n}": " ".join(WORDS[n : n + 12]) for n in range(0, 12, 2)}
    # Neighbours: 8 of 12 shingles in common; the ends have none.
    clusters = cluster_documents(chain)
    assert len(set(clusters.values())) == 1
    renamed = {f"/other/{name}": text for name, text in reversed(chain.items())}
    assert set(cluster_documents(renamed).values()) == set(clusters.values())
    assert cluster_documents(chain | {"new": sentence(1)})["d0"] == clusters["d0"]


def test_clusters_are_those_of_comparing_every_two_documents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(60):
        chance = random.Random(seed)  # noqa: S311
        monkeypatch.setattr("rag_app.text.near_duplicates._SLAB", chance.choice([1, 20, 10_000]))
        letters = "abcdefgh"[: chance.randint(2, 8)]
        texts = {
            str(number): " ".join(chance.choices(letters, k=chance.randint(0, 12)))
            for number in range(25)
        }
        cluster_of = {name: {name} for name in texts}
        sets = {name: shingles(text) for name, text in texts.items()}
        for one, other in itertools.combinations(texts, 2):
            if len(sets[one] & sets[other]) * 2 >= len(sets[one] | sets[other]):
                joined = cluster_of[one] | cluster_of[other]
                cluster_of |= dict.fromkeys(joined, joined)
        expected = {frozenset(cluster) for cluster in cluster_of.values()}
        assert groups(cluster_documents(texts)) == expected


def test_many_documents_with_the_same_footer_stay_apart() -> None:
    footer = sentence(-1, 15)
    texts = {str(number): f"{sentence(number)} {footer}" for number in range(3000)}
    assert len(set(cluster_documents(texts).values())) == 3000


def test_parts_have_the_shares_asked_for_and_hold_every_pair_once() -> None:
    split = split_pairs(PAIRS, TEXTS, seed=1)
    assert {name: len(pairs) for name, pairs in parts(split).items()} == {
        "train": 72,
        "dev": 12,
        "test": 36,
    }
    every = [pair for pairs in parts(split).values() for pair in pairs]
    assert sorted(pair.id for pair in every) == sorted(pair.id for pair in PAIRS)
    assert split.clusters == cluster_documents(TEXTS)
    check_leaks(split, TEXTS)


def test_shares_may_be_others() -> None:
    split = split_pairs(PAIRS, TEXTS, seed=1, dev_share=0, test_share=0.5)
    assert {name: len(pairs) for name, pairs in parts(split).items()} == {
        "train": 60,
        "dev": 0,
        "test": 60,
    }
    for dev, test in ((0.5, 0.5), (0.7, 0.3), (-0.1, 0.5), (0.2, 0.9)):
        with pytest.raises(ConfigError, match="nothing to train on"):
            split_pairs(PAIRS, TEXTS, seed=1, dev_share=dev, test_share=test)


def test_the_split_depends_on_the_seed_and_the_texts_alone() -> None:
    def questions(split: Split) -> dict[str, list[str]]:
        return {name: [pair.question for pair in pairs] for name, pairs in parts(split).items()}

    first = split_pairs(PAIRS, TEXTS, seed=1)
    moved = [make_pair(p.question, f"/home/{p.document_id}", None, None, "human") for p in PAIRS]
    renamed = {f"/home/{name}": text for name, text in reversed(TEXTS.items())}
    assert questions(split_pairs(moved[::-1], renamed, seed=1)) == questions(first)
    assert questions(split_pairs(PAIRS, TEXTS, seed=2)) != questions(first)


def test_documents_of_one_question_and_of_one_group_stay_together() -> None:
    shared = [make_pair("Same for all?", f"d{n}", None, None, "human") for n in (3, 30, 59)]
    split = split_pairs([*PAIRS, *shared], TEXTS, seed=1)
    assert len({split.clusters[pair.document_id] for pair in shared}) == 1
    assert len(set(split.clusters.values())) == 58
    check_leaks(split, TEXTS)

    def tens(document_id: str) -> str:
        return document_id[:-1]

    split = split_pairs(PAIRS, TEXTS, seed=1, group_of=tens)
    # d0 to d9 are a group, d10 to d19 the next: six of 20 pairs each.
    assert sorted(map(len, groups(split.clusters))) == [10] * 6
    tens_of = {name: {tens(p.document_id) for p in pairs} for name, pairs in parts(split).items()}
    assert sum(map(len, tens_of.values())) == 6
    assert {name: len(pairs) for name, pairs in parts(split).items()} == {
        "train": 60,
        "dev": 20,
        "test": 40,
    }


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([50, 30, 20], (50, 20, 30)),
        ([92, 1, 1, 1, 1, 1, 1, 1, 1], (92, 2, 6)),
        ([98, 1, 1], (98, 1, 1)),
        ([40, 30, 10, 10, 10], (60, 10, 30)),
        ([59, 31, 10], (59, 10, 31)),
        ([92, *[1] * 32], (92, 8, 24)),
    ],
)
def test_whole_clusters_come_as_close_as_they_can(
    sizes: list[int], expected: tuple[int, int, int]
) -> None:
    pairs = [
        make_pair(f"q{document} {number}?", f"d{document}", None, None, "human")
        for document, size in enumerate(sizes)
        for number in range(size)
    ]
    split = split_pairs(pairs, TEXTS, seed=5)
    assert (len(split.train), len(split.dev), len(split.test)) == expected


def test_too_few_pairs_or_clusters_are_errors() -> None:
    with pytest.raises(PairsError, match=r"19 pairs are too few.*rag-app questions"):
        split_pairs(PAIRS[:19], TEXTS, seed=1)
    one = [make_pair(f"q{number}?", "d0", None, None, "human") for number in range(30)]
    with pytest.raises(PairsError, match=r"all 30 pairs are about one document, 'd0', .* several"):
        split_pairs(one, TEXTS, seed=1)
    assert len(split_pairs(one, TEXTS, seed=1, dev_share=0, test_share=0).train) == 30
    with pytest.raises(PairsError, match="2 cluster"):
        split_pairs([*one, PAIRS[-1]], TEXTS, seed=1)
    gone = make_pair("q?", "gone.md", None, None, "human")
    with pytest.raises(PairsError, match=r"'gone\.md'.*rag-app ingest"):
        split_pairs([*PAIRS, gone], TEXTS, seed=1)


SPLIT = split_pairs(PAIRS, TEXTS, seed=1)


def plant(pair: Pair, text: str) -> tuple[Split, dict[str, str]]:
    """Give train a document that reads thus, in a cluster of its own."""
    clusters = SPLIT.clusters | {pair.document_id: "new"}
    train = [*SPLIT.train, pair]
    return replace(SPLIT, train=train, clusters=clusters), TEXTS | {pair.document_id: text}


@pytest.mark.parametrize("part", ["dev", "test"])
def test_a_cluster_in_two_parts_is_a_leak(part: str) -> None:
    held_out = parts(SPLIT)[part][0]
    moved = replace(held_out, question="something else?")
    with pytest.raises(LeakError, match=rf"one cluster.*train's 'something else\?'.*{part}'s 'q"):
        check_leaks(replace(SPLIT, train=[*SPLIT.train, moved]), TEXTS)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_a_question_in_two_parts_is_a_leak(part: str) -> None:
    question = parts(SPLIT)[part][0].question
    planted = make_pair(f" {question.upper()}! ", "new", None, None, "human")
    with pytest.raises(LeakError, match=rf"one question in two parts.*{part}'s '{question[:-1]}"):
        check_leaks(*plant(planted, sentence(999)))


@pytest.mark.parametrize("part", ["dev", "test"])
def test_a_near_duplicate_of_a_held_out_document_is_a_leak(part: str) -> None:
    theirs = parts(SPLIT)[part][0].document_id
    planted = make_pair("new?", "new", None, None, "human")
    # 18 shingles, and 5 more with five more words: 18/23.
    split, texts = plant(planted, TEXTS[theirs].upper() + "! and five words more here")
    with pytest.raises(LeakError, match=rf"near-duplicate.*train's 'new' and {part}'s '{theirs}'"):
        check_leaks(split, texts)
    check_leaks(*plant(planted, TEXTS[theirs] + sentence(999, 30)))


def test_dev_and_test_may_not_share_either() -> None:
    theirs = SPLIT.test[0].document_id
    planted = make_pair("new?", "new", None, None, "human")
    split = replace(SPLIT, dev=[planted], clusters=SPLIT.clusters | {"new": "new"})
    with pytest.raises(LeakError, match=rf"dev's 'new' and test's '{theirs}'"):
        check_leaks(split, TEXTS | {"new": TEXTS[theirs]})


OUR_QUESTIONS = [pair.question for pair in SPLIT.train]
OUR_PASSAGES = [TEXTS[pair.document_id] for pair in SPLIT.train]


def check(*, question: str | None = None, passage: str | None = None) -> None:
    """Check what training is given, and one question or passage more."""
    check_leaks(
        SPLIT,
        TEXTS,
        questions=[*OUR_QUESTIONS, *filter(None, [question])],
        passages=[*OUR_PASSAGES, *filter(None, [passage])],
    )


@pytest.mark.parametrize("part", ["dev", "test"])
def test_training_texts_may_not_come_from_held_out_documents(part: str) -> None:
    check()
    held_out = parts(SPLIT)[part][0]
    asked, theirs = held_out.question, TEXTS[held_out.document_id]
    with pytest.raises(LeakError, match=rf"questions of dev .* questions.*'{asked[:-1].upper()}"):
        check(question=asked.upper())
    with pytest.raises(LeakError, match=r"passages of dev .* training passages.*'Title\\nw\d+"):
        check(passage=f"Title\n{theirs}")


@pytest.mark.parametrize("end", ["", "?", "？", " ?!", "... is that so?"])
@pytest.mark.parametrize("part", ["dev", "test"])
def test_a_held_out_passage_is_a_leak_among_the_questions_too(part: str, end: str) -> None:
    theirs = TEXTS[parts(SPLIT)[part][0].document_id] + end
    with pytest.raises(LeakError, match=r"passages of dev or test among the training questions"):
        check(question=theirs)
    # A passage may end in a question mark as well.
    with pytest.raises(LeakError, match=r"passages of dev or test among the training passages"):
        check(passage=theirs)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_a_held_out_question_is_a_leak_among_the_passages_too(part: str) -> None:
    asked = parts(SPLIT)[part][0].question
    for passage in (asked, asked.upper().rstrip("?"), f"A title\n{asked}"):
        with pytest.raises(LeakError, match=r"questions of dev or test among the training passa"):
            check(passage=passage)


@pytest.mark.parametrize("end", ["", "?", " ?!", "！"])
@pytest.mark.parametrize("title", ["", "A title\n"])
def test_a_held_out_passage_of_two_words_is_a_leak_with_whatever_marks(
    title: str, end: str
) -> None:
    theirs = SPLIT.test[0].document_id
    texts = TEXTS | {theirs: "Yes25 sure25."}
    passage = f"{title}YES25  sure25.{end}"
    with pytest.raises(LeakError, match="passages of dev or test among the training passages"):
        check_leaks(SPLIT, texts, questions=OUR_QUESTIONS, passages=[*OUR_PASSAGES, passage])
    # It may be asked for: too few words to say where they come from.
    check_leaks(SPLIT, texts, questions=[*OUR_QUESTIONS, "Yes25 sure25?"], passages=OUR_PASSAGES)


def test_two_words_that_stand_in_a_training_document_too_are_no_leak() -> None:
    ours, theirs = SPLIT.train[0].document_id, SPLIT.test[0].document_id
    texts = TEXTS | {theirs: "Yes25 sure25.", ours: f"{TEXTS[ours]} Yes25 sure25!"}
    passages = [*OUR_PASSAGES, "Yes25 sure25!", "A title\nYes25 sure25!"]
    check_leaks(SPLIT, texts, questions=OUR_QUESTIONS, passages=passages)


def test_a_question_may_read_like_a_heading_or_share_a_few_words() -> None:
    theirs = SPLIT.test[0].document_id
    words = TEXTS[theirs].split()
    heading = " ".join(words[:5])
    texts = TEXTS | {theirs: f"# {heading}\n{' '.join(words[5:9])}"}
    for question in (f"{heading}?", heading, " ".join(words[:2]), f"{' '.join(words[4:8])} and?"):
        check_leaks(SPLIT, texts, questions=[*OUR_QUESTIONS, question], passages=OUR_PASSAGES)
    program = "The Paycheck Protection Program is a loan"
    question = "What is the Paycheck Protection Program?"
    check_leaks(SPLIT, TEXTS | {theirs: program}, questions=[question])
    with pytest.raises(LeakError, match="passages of dev or test"):
        check_leaks(SPLIT, TEXTS | {theirs: program}, questions=[f"{program}?"])


def test_a_chunk_of_a_long_held_out_document_is_a_leak_and_boilerplate_is_none() -> None:
    ours, theirs = SPLIT.train[0].document_id, SPLIT.test[0].document_id
    footer = sentence(-1, 40)
    long = {ours: sentence(-2, 200), theirs: sentence(-3, 200)}
    texts = TEXTS | {name: f"{text} {footer}" for name, text in long.items()}
    check_leaks(SPLIT, texts, passages=[f"A title of five words\n{footer}"])
    check_leaks(SPLIT, texts, questions=[f"{footer}?"])
    chunk = " ".join(long[theirs].split()[50:90])
    with pytest.raises(LeakError, match="passages of dev or test"):
        check_leaks(SPLIT, texts, passages=[f"A title of five words\n{chunk}"])
    with pytest.raises(LeakError, match="passages of dev or test"):
        check_leaks(SPLIT, texts, questions=[f"Is it true that {chunk}?"])


def test_korquad_is_split_by_article(shared_data: Path) -> None:
    articles = json.loads(
        (shared_data / "korquad_v1_dev" / "KorQuAD_v1.0_dev.json").read_text("utf-8")
    )["data"]
    texts, pairs = {}, []
    for number, article in enumerate(articles):
        for place, paragraph in enumerate(article["paragraphs"]):
            name = f"{number}/{place}"
            texts[name] = paragraph["context"]
            pairs += [
                make_pair(one["question"], name, None, None, "human") for one in paragraph["qas"]
            ]
    split = split_pairs(pairs, texts, seed=13, group_of=lambda name: name.split("/")[0])
    # 5,774 questions to 140 articles, two of which share a question or a text.
    assert [len(part) for part in (split.train, split.dev, split.test)] == pytest.approx(
        [0.6 * 5774, 0.1 * 5774, 0.3 * 5774], abs=6
    )
    article_of = {
        name: {pair.document_id.split("/")[0] for pair in part}
        for name, part in parts(split).items()
    }
    assert sum(map(len, article_of.values())) == 140
    check_leaks(split, texts, questions=[pair.question for pair in split.train])
