"""Labels that a second opinion shares are believed; the keyword search that gives one of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import WordModel
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

from rag_app.chunks import passage_text
from rag_app.finetune.opinion import (
    AGREE_TOP_K,
    BELIEVED_RANK,
    READ_TOP_K,
    agreement,
    cross_encoder_opinion,
)
from rag_app.index import Passages, VectorCache
from rag_app.pairs import Pair, make_pair
from rag_app.retrieve.keyword.bm25 import KeywordIndex
from rag_app.vectors import Vectors


def node_of(document: str, text: str, start: int = 0) -> TextNode:
    return TextNode(
        id_=f"{document}:{start}",
        text=text,
        start_char_idx=start,
        end_char_idx=start + len(text),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
    )


def passages_of(nodes: Sequence[TextNode], model: WordModel) -> Passages:
    return Passages(list(nodes), model.embed_passages([passage_text(node) for node in nodes]))


def ask(question: str, document: str) -> Pair:
    return make_pair(question, document, None, None, "machine")


# Twelve passages share the word "refund"; two more than either search returns.
REFUNDS = [f"refund rule{i} about thing{i} and part{i}" for i in range(AGREE_TOP_K + 2)]
OTHERS = ["parcels arrive on monday", "the colour is green"]
NODES = [node_of(f"d{i}", text) for i, text in enumerate([*REFUNDS, *OTHERS])]


def believed(
    pairs: Sequence[Pair], tmp_path: Path, *, model: WordModel, passages: Passages
) -> list[str]:
    believe = agreement(passages, model, VectorCache(tmp_path))  # type: ignore[arg-type]
    return [pair.question for pair in believe(pairs)]


def test_pairs_are_believed_that_both_searches_find(tmp_path: Path) -> None:
    model = WordModel()
    pairs = [
        ask("refund rule11", "d11"),
        ask("when do parcels arrive", "d12"),
        # About the green thing, says the label; both searches find the parcels.
        ask("parcels arrive on monday", "d13"),
    ]
    found = believed(pairs, tmp_path, model=model, passages=passages_of(NODES, model))
    assert found == ["refund rule11", "when do parcels arrive"]


class Elsewhere(WordModel):
    """Puts every question where the passage of this text is."""

    def __init__(self, text: str) -> None:
        super().__init__("elsewhere")
        self.text = text

    def _vector(self, text: str) -> Vectors:
        return super()._vector(self.text if text.startswith("ask") else text)


def test_one_search_alone_is_not_enough(tmp_path: Path) -> None:
    # The vectors say d0, and nine like it; BM25 says what shares a word.
    model = Elsewhere(REFUNDS[0])
    passages = passages_of(NODES, model)
    by_words_alone = ask("ask parcels", "d12")
    by_vector_alone = ask("ask unheard-of", "d0")
    by_both = ask("ask rule0", "d0")
    pairs = [by_words_alone, by_vector_alone, by_both]
    assert believed(pairs, tmp_path, model=model, passages=passages) == ["ask rule0"]


def test_beyond_the_tenth_place_neither_finds_it(tmp_path: Path) -> None:
    model = WordModel()
    same = [node_of(f"d{i}", "refund") for i in range(AGREE_TOP_K + 1)]
    # Equal scores keep the order of the passages: d9 is the tenth, d10 the eleventh.
    pairs = [ask("refund", "d9"), ask("Refund!", "d10")]
    passages = passages_of(same, model)
    assert believed(pairs, tmp_path, model=model, passages=passages) == ["refund"]


def test_any_chunk_of_the_answer_counts(tmp_path: Path) -> None:
    model = WordModel()
    nodes = [*NODES, node_of("long", "unrelated words here"), node_of("long", "lamps glow", 50)]
    passages = passages_of(nodes, model)
    whole = make_pair("do lamps glow", "long", None, None, "machine")
    first_chunk = make_pair("lamps that glow", "long", 0, 9, "machine")
    found = believed([whole, first_chunk], tmp_path, model=model, passages=passages)
    assert found == ["do lamps glow"]


class Reader:
    """A cross-encoder that gives each passage the score in its own text: "score 7"."""

    def __init__(self) -> None:
        self.read: dict[str, list[str]] = {}

    def score(self, question: str, passages: Sequence[str]) -> Vectors:
        self.read[question] = list(passages)
        return np.array([float(text.split()[-1]) for text in passages], dtype=np.float32)


def opinion(
    scores: Sequence[float], pairs: Sequence[Pair], tmp_path: Path
) -> tuple[list[str], Reader]:
    """Questions that are believed of passages "word score N", d0, d1 and so on."""
    model, reader = WordModel(), Reader()
    nodes = [node_of(f"d{i}", f"word score {score}") for i, score in enumerate(scores)]
    passages = passages_of(nodes, model)
    cache = VectorCache(tmp_path)
    believe = cross_encoder_opinion(reader, passages, model, cache)  # type: ignore[arg-type]
    return [pair.question for pair in believe(pairs)], reader


@pytest.mark.parametrize(("better", "expected"), [(0, True), (2, True), (3, False), (5, False)])
def test_the_right_passage_must_be_among_the_best_three(
    tmp_path: Path, better: int, expected: bool
) -> None:
    assert BELIEVED_RANK == 3
    scores = [5.0, *[9.0] * better, *[1.0] * (6 - better)]
    found, _ = opinion(scores, [ask("word", "d0")], tmp_path)
    assert found == (["word"] if expected else [])


def test_equal_scores_are_in_favour_of_the_label(tmp_path: Path) -> None:
    found, _ = opinion([4.0] * 8, [ask("word", "d7")], tmp_path)
    assert found == ["word"]


def test_the_right_passage_is_read_even_where_search_misses_it(tmp_path: Path) -> None:
    scores = [1.0] * (READ_TOP_K + 5)
    last = f"d{len(scores) - 1}"
    found, reader = opinion([*scores[:-1], 2.0], [ask("word score 1.0", last)], tmp_path)
    assert found == ["word score 1.0"]
    [read] = reader.read.values()
    assert read == ["word score 2.0", *["word score 1.0"] * READ_TOP_K]


def test_the_right_passage_is_not_its_own_rival(tmp_path: Path) -> None:
    _, reader = opinion([3.0, 2.0, 1.0], [ask("word score", "d1")], tmp_path)
    [read] = reader.read.values()
    assert sorted(read) == ["word score 1.0", "word score 2.0", "word score 3.0"]
    assert read[0] == "word score 2.0"


ENGLISH = ["the cat sleeps", "the dog barks at the cat", "refunds take ten days", "The CAT!"]
KOREAN = ["배송은 사흘 걸립니다", "환불은 열흘 걸립니다", "회원가입은 무료입니다"]


def top(texts: Sequence[str], question: str, top_k: int = 10) -> list[int]:
    [rows] = KeywordIndex(texts).top([question], top_k)
    assert rows.dtype == np.int64
    return [int(row) for row in rows]


def test_a_rare_word_finds_its_passage() -> None:
    assert top(ENGLISH, "How long do REFUNDS take?") == [2]
    # "dog" stands in one passage, "cat" in three.
    assert top(ENGLISH, "cat dog")[0] == 1


def test_a_shorter_passage_with_the_word_comes_first() -> None:
    assert top(ENGLISH, "cat") == [3, 0, 1]


def test_korean_is_found_by_pairs_of_syllables() -> None:
    # "환불" and "환불은" share a pair; "회원" stands inside of "회원가입은".
    assert top(KOREAN, "환불 언제 되나요") == [1]
    assert top(KOREAN, "회원가입 어떻게 하나요") == [2]
    assert top(KOREAN, "걸립니까") == [0, 1]


def test_without_a_shared_word_nothing_is_found() -> None:
    assert top(ENGLISH, "parcels") == []
    assert top(ENGLISH, "") == []
    assert top(ENGLISH, "환불") == []
    assert top(["...", "cat"], "?!") == []


def test_equal_scores_keep_the_order_of_the_passages() -> None:
    # Among so many a sort that is not stable shows.
    texts = ["dog", *["a cat"] * 40, "owl"]
    assert top(texts, "cat", top_k=50) == list(range(1, 41))
    assert top(texts, "cat", top_k=2) == [1, 2]


def test_each_question_is_answered_in_turn() -> None:
    found = KeywordIndex(ENGLISH).top(["refunds", "nothing known", "dog"], 1)
    assert [rows.tolist() for rows in found] == [[2], [], [1]]
