"""Retrievers return what comparing with every vector by hand returns."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from fakes import DIMENSION, WordModel
from llama_index.core.schema import Document, QueryBundle

from rag_app.chunks import Chunking, SentenceChunker
from rag_app.index import Catalog, IndexInfo, VectorIndex
from rag_app.retrieve import ExactRetriever, VectorRetriever
from rag_app.vectors import QUERY_BATCH, Vectors, best_rows, nearest

QUESTIONS = ["one", "another", "a third", "nothing of the kind"]


class DrawnModel(WordModel):
    """Draws a direction for each text: no two scores are equal, so there is one right order."""

    def _vector(self, text: str) -> Vectors:
        digest = hashlib.sha256(text.encode()).digest()
        vector = np.random.default_rng(list(digest)).normal(size=DIMENSION).astype(np.float32)
        return vector / np.linalg.norm(vector)


@pytest.fixture
def model() -> WordModel:
    return DrawnModel()


def make_index(storage: Path, model: WordModel, texts: list[str]) -> VectorIndex:
    info = IndexInfo.of(model, Chunking(16, 0))
    index = Catalog(storage).make("words", info)
    chunker = SentenceChunker.for_model(model, info.chunking)
    documents = [Document(id_=f"d{i:02}", text=text) for i, text in enumerate(texts)]
    if texts:
        index.write(chunker.get_nodes_from_documents(documents), model.embed_passages(texts))
    return index


@pytest.fixture
def index(tmp_path: Path, model: WordModel) -> VectorIndex:
    return make_index(tmp_path, model, [f"passage {number}" for number in range(50)])


def test_nearest_by_hand() -> None:
    passages = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], dtype=np.float32)
    queries = np.array([[1, 0], [0, 1]], dtype=np.float32)
    rows, scores = nearest(queries, passages, 3)
    assert rows.tolist() == [[0, 3, 2], [1, 2, 3]]
    assert scores == pytest.approx(np.array([[1, 0.8, 0.6], [1, 0.8, 0.6]]), abs=1e-6)


def test_equal_scores_keep_the_passages_order() -> None:
    passages = np.array([[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    rows, scores = nearest(np.array([[1, 0]], dtype=np.float32), passages, 5)
    assert rows.tolist() == [[1, 2, 4, 0, 3]]
    assert scores.tolist() == [[1, 1, 1, 0, 0]]


def test_no_more_than_there_are_and_nothing_of_nothing() -> None:
    query = np.array([[1, 0]], dtype=np.float32)
    assert nearest(query, query, 9)[0].tolist() == [[0]]
    assert nearest(query, np.empty((0, 2), np.float32), 9)[0].shape == (1, 0)
    assert nearest(np.empty((0, 2), np.float32), query, 9)[0].shape == (0, 1)


def test_more_questions_than_a_batch() -> None:
    draw = np.random.default_rng(1)
    queries = draw.normal(size=(QUERY_BATCH + 3, 8)).astype(np.float32)
    passages = draw.normal(size=(20, 8)).astype(np.float32)
    rows, scores = nearest(queries, passages, 5)
    cosines = queries @ passages.T
    assert np.array_equal(rows, np.argsort(-cosines, axis=1, kind="stable")[:, :5])
    assert scores == pytest.approx(-np.sort(-cosines, axis=1)[:, :5], abs=1e-5)


@pytest.mark.parametrize("different", [1, 3, 50, 10_000])
def test_the_best_are_those_of_a_full_stable_sort(different: int) -> None:
    draw = np.random.default_rng(different)
    for size in (1, 2, 7, 200):
        scores = draw.integers(different, size=size).astype(np.float32) / different
        scores[draw.random(size) < 0.05] = np.nan
        whole = np.argsort(-scores, kind="stable")
        for top_k in {0, 1, 2, size // 2, size - 1, size, size + 3}:
            assert best_rows(scores, top_k).tolist() == whole[:top_k].tolist()


def test_exact_and_approximate_agree_on_fifty_chunks(index: VectorIndex, model: WordModel) -> None:
    exact = ExactRetriever(index.passages(), model, top_k=10)
    vector = VectorRetriever(index, model, top_k=10)
    for question in QUESTIONS:
        left, right = exact.retrieve(question), vector.retrieve(question)
        assert [hit.node.text for hit in left] == [hit.node.text for hit in right]
        assert [hit.score for hit in left] == pytest.approx([h.score for h in right], abs=1e-5)


def test_many_questions_at_once_are_answered_as_one_by_one(
    index: VectorIndex, model: WordModel
) -> None:
    for retriever in (
        ExactRetriever(index.passages(), model, top_k=3),
        VectorRetriever(index, model, top_k=3),
    ):
        many = retriever.retrieve_many(QUESTIONS)
        assert [len(hits) for hits in many] == [3, 3, 3, 3]
        for question, hits in zip(QUESTIONS, many, strict=True):
            single = retriever.retrieve(QueryBundle(question))
            assert [hit.node.node_id for hit in hits] == [hit.node.node_id for hit in single]


def test_all_chunks_when_more_are_asked_for(index: VectorIndex, model: WordModel) -> None:
    exact = ExactRetriever(index.passages(), model, top_k=80)
    vector = VectorRetriever(index, model, top_k=80)
    assert len(exact.retrieve("one")) == len(vector.retrieve("one")) == 50


def test_an_empty_index_finds_nothing(tmp_path: Path, model: WordModel) -> None:
    empty = make_index(tmp_path, model, [])
    exact = ExactRetriever(empty.passages(), model, top_k=5)
    vector = VectorRetriever(empty, model, top_k=5)
    assert exact.retrieve_many(["x", "y"]) == vector.retrieve_many(["x", "y"]) == [[], []]
