"""Labelled questions find their answers in an index, whatever its chunks."""

import time
from typing import TYPE_CHECKING

import pytest

from rag_app.chunks import build_nodes
from rag_app.errors import PairsError
from rag_app.pairs import (
    LabelledQuestion,
    Pair,
    build_questions,
    document_texts,
    gold_chunks,
    make_pair,
    match_questions,
    question_key,
)

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

TEXT = "One two three four.\n\nFive six  seven eight.\nNine ten eleven twelve."
SPANS = [(0, 19), (21, 44), (40, 67)]


def nodes(
    document_id: str, text: str, spans: list[tuple[int, int]] | None = None, title: str = ""
) -> "list[TextNode]":
    from llama_index.core.schema import Document

    document = Document(id_=document_id, text=text, metadata={"title": title} if title else {})
    return build_nodes(document, text, spans or [(0, len(text))])


def place(
    question: LabelledQuestion, chunks: "list[TextNode]"
) -> tuple[str, int | None, int | None]:
    [pair] = match_questions([question], chunks).pairs
    return pair.document_id, pair.start, pair.end


CHUNKS = [
    *nodes("en/orders/pickup.md", TEXT, SPANS),
    *nodes("en/lock/reset.md", "Hold the button for ten seconds."),
    *nodes("ko/lock/reset.md", "버튼을 십 초 동안 누르세요."),
    *nodes("beir/corpus.jsonl#17", "Seventeen is what it is."),
]
PICKUP = "en/orders/pickup.md"


def test_documents_are_rebuilt_from_chunks_that_overlap_and_leave_gaps() -> None:
    shuffled = [CHUNKS[2], CHUNKS[0], CHUNKS[1]]
    assert document_texts(shuffled) == {PICKUP: TEXT.replace("\n\n", "  ")}
    assert document_texts(nodes("d", TEXT, [(0, 43), (21, 30)])) == {
        "d": "One two three four.\n\nFive six  seven eight."
    }


@pytest.mark.parametrize("name", [PICKUP, "orders/pickup.md", "pickup.md", r".\pickup.md"])
def test_a_document_is_named_by_its_id_or_by_an_ending_that_is_its_own(name: str) -> None:
    question = LabelledQuestion("q?", document=name, evidence="Nine ten")
    assert place(question, CHUNKS) == (PICKUP, 44, 52)


@pytest.mark.parametrize("name", ["reset.md", "ickup.md", "pickup", "other.md"])
def test_other_names_find_nothing(name: str) -> None:
    question = LabelledQuestion("q?", document=name)
    assert match_questions([question], CHUNKS).unmatched == [question]


@pytest.mark.parametrize(
    ("evidence", "span", "expected"),
    [
        (None, (None, None), (None, None)),
        ("Five six", (21, 29), (21, 29)),
        # What was there has moved, or was cut off: the evidence is searched.
        ("Five six", (0, 8), (21, 29)),
        ("Five six", (60, 900), (21, 29)),
        ("Five six", (None, None), (21, 29)),
        # A span may be wider than the evidence, but holds no blanks at its ends.
        ("Five six", (19, 31), (21, 29)),
        (None, (21, 29), (21, 29)),
        # White space that no chunk holds, or that was wrapped otherwise, makes no difference.
        ("four.\n\nFive", (None, None), (14, 25)),
        ("six\nseven", (None, None), (26, 36)),
        ("e i g h t", (None, None), (37, 42)),
    ],
)
def test_evidence_is_found_in_the_named_document(
    evidence: str | None,
    span: tuple[int | None, int | None],
    expected: tuple[int | None, int | None],
) -> None:
    start, end = span
    question = LabelledQuestion("q?", document=PICKUP, evidence=evidence, start=start, end=end)
    assert place(question, CHUNKS) == (PICKUP, *expected)


def test_evidence_that_is_nowhere_is_unmatched() -> None:
    questions = [
        LabelledQuestion("a?", document=PICKUP, evidence="thirteen"),
        LabelledQuestion("b?", document=PICKUP, start=60, end=900),
        LabelledQuestion("c?", document=PICKUP, start=19, end=21),
        LabelledQuestion("d?"),
    ]
    assert match_questions(questions, CHUNKS).unmatched == questions


def test_a_passage_is_a_whole_document_or_a_part_of_one() -> None:
    whole = LabelledQuestion("a?", passage=" 버튼을 십 초\n동안 누르세요.")
    assert place(whole, CHUNKS) == ("ko/lock/reset.md", None, None)
    part = LabelledQuestion("b?", passage="three four. Five six seven")
    assert place(part, CHUNKS) == (PICKUP, 8, 36)


def test_a_short_passage_must_stand_in_one_document_only() -> None:
    chunks = [
        *nodes("b.md", "We ship on Mondays only. That is how it has always been, for years."),
        *nodes(
            "a.md", "Sorry. We ship on Mondays only. That is how it has always been, for years!"
        ),
        *nodes("c.md", "Yes, we ship on Tuesdays."),
        *nodes("d.md", "Yes."),
    ]
    ambiguous = LabelledQuestion("a?", passage="on Mondays only")
    by_chance = LabelledQuestion("b?", passage="Tuesdays.")
    assert match_questions([ambiguous, by_chance], chunks).unmatched == [ambiguous, by_chance]
    assert place(LabelledQuestion("c?", passage="on Tuesdays."), chunks) == ("c.md", 13, 25)
    assert place(LabelledQuestion("d?", passage="Yes."), chunks) == ("d.md", None, None)
    # A longer one is a copy, and the first is as good as the second.
    copy = LabelledQuestion("e?", passage="That is how it has always been")
    assert place(copy, chunks) == ("a.md", 32, 62)


def test_of_equal_documents_always_the_same_is_found() -> None:
    chunks = [*nodes("b", "The same text."), *nodes("a", "The same  text.")]
    for order in (chunks, chunks[::-1]):
        assert place(LabelledQuestion("q?", passage="The same text."), order)[0] == "a"


def test_a_dataset_s_ids_are_chunks_or_documents_if_their_texts_are() -> None:
    chunk = CHUNKS[1]
    named = LabelledQuestion("a?", document=chunk.node_id, passage=chunk.text)
    assert place(named, CHUNKS) == (PICKUP, 21, 44)
    one = LabelledQuestion("b?", document="17", passage="Seventeen is what it is.")
    assert place(one, CHUNKS) == ("beir/corpus.jsonl#17", None, None)
    elsewhere = LabelledQuestion("c?", document="17", passage="Hold the button for ten seconds.")
    assert place(elsewhere, CHUNKS) == ("en/lock/reset.md", None, None)


def test_what_is_asked_twice_of_one_place_is_one_pair() -> None:
    asked = [
        LabelledQuestion("q?", document=PICKUP, evidence="Nine"),
        LabelledQuestion("q?", document="pickup.md", start=44, end=48, origin="other"),
        LabelledQuestion("q?", document=PICKUP),
        LabelledQuestion("q?", document=PICKUP, evidence="two"),
        LabelledQuestion("r?", document=PICKUP, evidence="Nine"),
    ]
    assert match_questions(asked, CHUNKS).pairs == [
        make_pair("q?", PICKUP, 44, 48, "human"),
        make_pair("q?", PICKUP, 4, 7, "human"),
        make_pair("r?", PICKUP, 44, 48, "human"),
    ]


def test_spans_that_make_up_a_document_are_the_whole_of_it() -> None:
    asked = [LabelledQuestion("q?", document=chunk.node_id) for chunk in CHUNKS[:3]]
    assert match_questions(asked, CHUNKS).pairs == [make_pair("q?", PICKUP, None, None, "human")]
    assert len(match_questions(asked[::2], CHUNKS).pairs) == 2


def test_a_thousand_passages_are_matched_by_hash() -> None:
    chunks = [
        chunk for number in range(1300) for chunk in nodes(f"d{number}", f"answer {number} " * 50)
    ]
    asked = [LabelledQuestion(f"q{n}?", passage=f"answer {n}  " * 50) for n in range(1300)]
    start = time.perf_counter()
    matching = match_questions(asked, chunks)
    assert [pair.document_id for pair in matching.pairs] == [f"d{n}" for n in range(1300)]
    assert time.perf_counter() - start < 5


def pair(start: int | None, end: int | None, document_id: str = "d", question: str = "q?") -> Pair:
    return make_pair(question, document_id, start, end, "human")


def test_gold_chunks_cover_the_evidence() -> None:
    chunks = nodes("d", "x" * 100, [(0, 40), (30, 70), (75, 100)])
    first, second, third = (chunk.node_id for chunk in chunks)
    assert gold_chunks(pair(None, None), chunks) == {first, second, third}
    assert gold_chunks(pair(32, 38), chunks) == {first, second}
    assert gold_chunks(pair(20, 38), chunks) == {first}
    # 20..60 is covered by none: the first holds 20/40 of it, the second 30/40.
    assert gold_chunks(pair(20, 60), chunks) == {first, second}
    assert gold_chunks(pair(0, 60), chunks) == {first, second}
    # 10..100: 30/90, 40/90 and 25/90; the most is as good as it gets.
    assert gold_chunks(pair(10, 100), chunks) == {second}
    # In no chunk: the nearest.
    assert gold_chunks(pair(73, 75), chunks) == {third}
    assert gold_chunks(pair(10, 20), []) == frozenset()


def test_questions_have_a_gold_set_for_each_answer() -> None:
    chunks = [*nodes("a", "Answer in a."), *nodes("b", "Answer in b.")]
    pairs = [
        pair(None, None, "a", "Why so?"),
        pair(None, None, "b", "WHY so"),
        pair(0, 6, "b", "r?"),
    ]
    one, other = build_questions(pairs, chunks, {"a": "cluster"})
    a, b = (frozenset({chunk.node_id}) for chunk in chunks)
    assert (one.text, one.gold, one.cluster) == ("Why so?", (a, b), "cluster")
    assert (other.text, other.gold, other.cluster) == ("r?", (b,), "b")
    rechunked = build_questions(
        pairs, nodes("a", "Answer in a.", [(0, 6), (7, 12)]) + chunks[1:], {}
    )
    assert [question.id for question in rechunked] == [one.id, other.id]
    assert question_key(one.text) == "why so"


def test_copies_of_an_answer_are_right_answers_if_they_read_the_same() -> None:
    chunks = [
        *nodes("a", "Hold the button.", title="Vac S"),
        *nodes("b", "Hold the button.", title="Vac S"),
        *nodes("c", "Hold the button.", title="Vac Pro"),
    ]
    asked = [pair(None, None, "a"), pair(0, 4, "b")]
    [question] = build_questions(asked, chunks, {})
    assert question.gold == (frozenset(chunk.node_id for chunk in chunks[:2]),)


def test_a_question_without_its_document_is_an_error() -> None:
    with pytest.raises(PairsError, match=r"no chunk of 'gone\.md'.*rag-app ingest"):
        build_questions([pair(None, None, "gone.md")], CHUNKS, {})
