"""A question that no passage is near is told so, and no other."""

from pathlib import Path

import numpy as np
import pytest
from fakes import DIMENSION, WordModel
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo, TextNode

from rag_app import ingest
from rag_app.chunks import Chunking
from rag_app.index import Catalog, IndexInfo, VectorIndex, Workspace
from rag_app.query.session import Session
from rag_app.retrieve import RetrievalOptions, Tools
from rag_app.retrieve.trace import Step, Trace
from rag_app.retrieve.weak import FEWEST, QUANTILE, nearest_cosine, unrelated_cosine
from rag_app.vectors import Vectors


def made(folder: Path, vectors: Vectors, documents: list[str]) -> VectorIndex:
    model = WordModel()
    index = Catalog(folder).make("words", IndexInfo.of(model, Chunking(16, 4)))
    nodes = [
        TextNode(
            id_=f"{n:05}",
            text="text",
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
        )
        for n, document in enumerate(documents)
    ]
    index.write(nodes, vectors)
    return index


def unit(rows: int, *, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def test_unrelated_are_chunks_of_different_documents(tmp_path: Path) -> None:
    # Two chunks a document, both the same.
    vectors = np.repeat(unit(FEWEST), 2, axis=0)
    documents = [f"d{n // 2}" for n in range(2 * FEWEST)]
    found = unrelated_cosine(made(tmp_path, vectors, documents))
    one = unit(FEWEST)
    cosines = (one @ one.T)[~np.eye(FEWEST, dtype=bool)]
    assert found == pytest.approx(np.quantile(cosines, QUANTILE), abs=1e-3)
    assert found is not None
    assert found < 0.5


def test_few_chunks_or_one_document_say_nothing(tmp_path: Path) -> None:
    few = made(tmp_path / "few", unit(FEWEST - 1), [str(n) for n in range(FEWEST - 1)])
    assert unrelated_cosine(few) is None
    one = made(tmp_path / "one", unit(FEWEST), ["d"] * FEWEST)
    assert unrelated_cosine(one) is None


def parcels(count: int) -> list[Document]:
    return [Document(id_=f"d{n}", text=f"parcel desk lamp {n}") for n in range(count)]


def test_an_open_session_follows_an_index_that_grows(tmp_path: Path) -> None:
    ingest(parcels(FEWEST - 1), storage=tmp_path, embedder=WordModel())
    workspace = Workspace(tmp_path, embedder=WordModel())
    opened = workspace.open()
    session = Session(
        workspace=workspace,
        index=opened.index,
        model=opened.model,
        llm=None,
        top_k=3,
        retrieval=RetrievalOptions(),
        tools=Tools.of(workspace),
    )
    session.ask("zebra")
    assert session.weak_match() is None
    # Another process has it open, too.
    ingest(parcels(FEWEST), storage=tmp_path, embedder=WordModel())
    session.ask("zebra")
    weak = session.weak_match()
    assert weak is not None
    nearest, unrelated = weak
    assert nearest < unrelated
    # A passage has its title, a number, and three words that each has.
    assert unrelated == pytest.approx(3 / 5, abs=0.01)


def test_the_nearest_is_that_of_the_question_itself() -> None:
    trace = Trace("q")
    assert nearest_cosine(trace) is None
    trace.steps += [
        Step("keyword", 0.0, {"a": 9.0}),
        Step("vector", 0.0, {"a": 0.5, "b": 0.25}),
        Step("hybrid", 0.0, {"a": 1.0}),
    ]
    assert nearest_cosine(trace) == 0.5
    trace.rewrites = ["another question"]
    assert nearest_cosine(trace) is None
