"""A passage by its best sentence: cosines by hand, what is kept, and when it is made again."""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from fakes import WordModel
from llama_index.core.schema import NodeWithScore, TextNode
from test_other_processes import INFO, write

from rag_app.index import Catalog, VectorCache, VectorIndex
from rag_app.retrieve import Searched, Trace
from rag_app.retrieve.chunk_rows import quantise
from rag_app.retrieve.sentences.folder import open_sentence_vectors
from rag_app.retrieve.sentences.scorer import SentenceScorer
from rag_app.retrieve.sentences.vectors import SentenceVectors, sentence_texts
from rag_app.vectors import Vectors

# Sentence -> where it lies.
PLACES = {"East.": (1, 0), "North.": (0, 1), "Between.": (sqrt(1 / 2), sqrt(1 / 2))}
BETWEEN = np.array([0.6, 0.8], np.float32)


def embed(texts: Sequence[str]) -> Vectors:
    return np.array([PLACES[text] for text in texts], np.float32)


def node(name: str, text: str, **metadata: str) -> TextNode:
    return TextNode(id_=name, text=text, metadata=metadata)


VECTORS = SentenceVectors.of([node("a", "East. North."), node("b", "Between.")], embed)


def test_the_best_sentence_by_hand() -> None:
    # a: the higher of .6 and .8; b: (.6 + .8) / sqrt(2). A byte is off by 1/254 at most.
    assert VECTORS.best(BETWEEN, ["b", "a"]) == pytest.approx({"b": 1.4 / sqrt(2), "a": 0.8})


def test_only_candidates_are_scored_and_strangers_left_out() -> None:
    assert list(VECTORS.best(BETWEEN, ["gone", "a"])) == ["a"]
    assert VECTORS.best(BETWEEN, []) == VECTORS.best(BETWEEN, ["gone"]) == {}


def test_a_number_is_a_byte_of_the_row_s_largest() -> None:
    rows, scales = quantise(np.array([[0.6, -0.8], [0, 0]], np.float32))
    # 127 x .6 / .8 = 95.25.
    assert rows.tolist() == [[95, -127], [0, 0]]
    assert scales[0] == pytest.approx(0.8 / 127)


def test_sentences_have_the_title_before_them_once_each() -> None:
    assert sentence_texts(node("a", "One. Two. One.", title="T"), "rules") == ["T\nOne.", "T\nTwo."]
    assert sentence_texts(node("a", "One."), "rules") == ["One."]
    assert sentence_texts(node("a", " \n"), "rules") == [" \n"]


def test_no_chunks_no_vectors() -> None:
    assert SentenceVectors.of([], embed).best(BETWEEN, ["a"]) == {}


class Compass:
    """Knows one question."""

    name, dimension, fingerprint = "compass", 2, "compass"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_queries(self, texts: Sequence[str], **_: object) -> Vectors:
        self.asked += texts
        return np.stack([BETWEEN for _ in texts])

    embed_passages = embed_queries


def test_the_scorer_ranks_what_others_found() -> None:
    found = [NodeWithScore(node=node(name, "x"), score=9.0) for name in ("a", "gone", "b")]
    model, trace = Compass(), Trace("where?")
    scorer = SentenceScorer(VECTORS, model)
    [ranking] = scorer.score([found], [trace])
    assert [hit.node.node_id for hit in ranking] == ["b", "a"]
    assert [hit.score for hit in found] == [9.0] * 3
    assert [(step.name, list(step.scores)) for step in trace.steps] == [("sentence", ["b", "a"])]
    # A question is embedded once, however many views ask for its vector.
    scorer.score([found], [trace])
    assert model.asked == ["where?"]


# Beside an index


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    made = Catalog(tmp_path).make("words", INFO)
    write(made, {"d0": "red apple. green pear.", "d1": "blue whale song"})
    return made


def opened(index: VectorIndex, model: WordModel, cache: VectorCache | None = None) -> int:
    """Open the sentence vectors; how many sentences were embedded for it."""
    before = len(model.embedded)
    vectors = open_sentence_vectors(index, model, cache)
    assert sorted(vectors.chunk_ids) == sorted(index.chunk_ids())
    return len(model.embedded) - before


def test_vectors_are_made_once_and_again_when_a_chunk_changes(
    index: VectorIndex, tmp_path: Path
) -> None:
    model, cache = WordModel(), VectorCache(tmp_path)
    assert (opened(index, model, cache), opened(index, model, cache)) == (3, 0)
    write(index, {"d2": "yellow moon. red apple."})
    # The other sentences are in the cache.
    assert opened(index, model, cache) == 1
    index.delete(index.chunk_ids())
    assert opened(index, model, cache) == 0


def test_vectors_of_another_model_are_not_taken(index: VectorIndex) -> None:
    assert opened(index, WordModel()) == 3
    assert opened(index, WordModel(seed=1)) == 3


def test_in_memory_and_kept_vectors_score_alike(index: VectorIndex) -> None:
    model = WordModel()
    [question] = model.embed_queries(["a green pear"])
    memory = Searched(index, model, index.passages()).sentences
    live = Searched(index, model).sentences
    ids = index.chunk_ids()
    assert live.best(question, ids) == memory.best(question, ids)
    # "green pear" and "a green pear": 2 of sqrt(2) x sqrt(3), less what other words' places share.
    assert max(live.best(question, ids).values()) == pytest.approx(2 / sqrt(6), abs=0.02)


def test_the_index_s_vectors_follow_what_is_written(index: VectorIndex) -> None:
    searched = Searched(index, WordModel())
    assert len(searched.sentences.chunk_ids) == 2
    assert searched.sentences is searched.sentences
    write(index, {"d2": "yellow moon"})
    index.refresh()
    assert len(searched.sentences.chunk_ids) == 3
