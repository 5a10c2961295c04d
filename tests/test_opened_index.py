"""An open index for programs: retrievers of every form, its nodes, query engines."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import BaseQueryEngine, RetrieverQueryEngine
from llama_index.core.schema import Document
from test_answer import SetModel

from rag_app.documents.given import given_documents
from rag_app.errors import ConfigError
from rag_app.index import Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest_reading
from rag_app.query.opened import Index

TEXTS = {
    name: f"What to know about {name} of kind {number}."
    for number, name in enumerate(["refunds", "parcels", "gifts", "vouchers", "returns"])
}
SPECS = (
    *("vector", "exact", "keyword", "hybrid:0.7", "ranks:0.5"),
    *("vector+latest", "hybrid:0.5+window:1", "vector+parent:2", "vector+half-life 90d"),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    workspace = Workspace(tmp_path_factory.mktemp("storage"), embedder=WordModel())
    documents = [
        Document(
            id_=name, text=text, metadata={"kind_of": number % 2, "date": f"202{number}-01-01"}
        )
        for number, (name, text) in enumerate(TEXTS.items())
    ]
    ingest_reading(
        workspace, given_documents(documents), IngestRequest(options=IndexOptions("words"))
    )
    return Index(workspace, workspace.open())


@pytest.mark.parametrize("spec", SPECS)
def test_every_form_is_a_llama_index_retriever(index: Index, spec: str) -> None:
    retriever = index.as_retriever(spec, top_k=2)
    assert isinstance(retriever, BaseRetriever)
    hits = retriever.retrieve("what about parcels")
    assert 1 <= len(hits) <= 2
    assert "parcels" in {hit.node.ref_doc_id for hit in hits}


def test_what_no_retriever_is_is_refused(index: Index) -> None:
    with pytest.raises(ConfigError, match="unknown retriever 'magic'"):
        index.as_retriever("magic")
    with pytest.raises(ConfigError, match="no chunk has the key 'kindof'"):
        index.as_retriever(where="kindof = 1")
    with pytest.raises(ConfigError, match="asks a language model and there is none"):
        index.as_retriever("vector+hyde")


@pytest.mark.parametrize("spec", ["vector", "keyword", "hybrid:0.5"])
def test_a_filter_holds_for_every_hit(index: Index, spec: str) -> None:
    found = index.as_retriever(spec, where="kind_of = 1 and date >= 2022").retrieve("what to know")
    assert [hit.node.ref_doc_id for hit in found] == ["vouchers"]


def test_its_nodes_are_all_there_is(index: Index) -> None:
    assert {node.ref_doc_id: node.text for node in index.nodes} == TEXTS
    assert {node.node_id for node in index.as_retriever().nodes} == {
        node.node_id for node in index.nodes
    }
    assert len(index) == len(TEXTS)
    assert repr(index) == f"Index({index.name!r}, 5 chunks, model 'words')"


def test_ages_are_counted_from_the_day_that_is_given(index: Index) -> None:
    def order(today: dt.date) -> list[str]:
        retriever = index.as_retriever("vector+cutoff 370d", today=today)
        return [hit.node.ref_doc_id for hit in retriever.retrieve("what about refunds")]

    # It is of 2020, and the only one of then.
    assert order(dt.date(2020, 6, 1))[0] == "refunds"
    assert order(dt.date(2022, 1, 2))[-1] == "refunds"


def test_without_a_language_model_the_passages_are_the_answer(index: Index) -> None:
    engine = index.as_query_engine(top_k=2)
    assert isinstance(engine, BaseQueryEngine)
    response = engine.query("what about parcels")
    shown = [hit.node.ref_doc_id for hit in response.source_nodes]
    assert shown[0] == "parcels"
    assert len(shown) == 2
    assert str(response) == "\n\n".join(TEXTS[name] for name in shown)
    assert response.metadata is not None
    cited = response.metadata["answer"]["citations"]
    assert [citation["document"] for citation in cited] == shown


def test_a_chat_model_answers_with_checked_citations(index: Index) -> None:
    chat: Any = SetModel("They are of kind 1. [1]")
    response = index.as_query_engine(chat, top_k=1).query("what about parcels")
    assert str(response) == "They are of kind 1. [1]"
    assert [hit.node.ref_doc_id for hit in response.source_nodes] == ["parcels"]


def test_a_llama_index_llm_answers_through_its_own_synthesizer(index: Index) -> None:
    engine = index.as_query_engine(MockLLM(), where="kind_of = 1")
    assert isinstance(engine, RetrieverQueryEngine)
    response = engine.query("what about parcels")
    assert {hit.node.ref_doc_id for hit in response.source_nodes} == {"parcels", "vouchers"}
    # It repeats what it was asked.
    assert TEXTS["parcels"] in str(response)


def test_use_puts_it_into_service(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, embedder=WordModel())
    reading = given_documents([Document(id_="a", text="A text.")])
    for name in ("first", "second"):
        ingest_reading(workspace, reading, IngestRequest(options=IndexOptions("words"), index=name))
    assert workspace.open().index.name == "first"
    Index(workspace, workspace.open("second")).use()
    assert workspace.open().index.name == "second"
