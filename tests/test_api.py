"""The public names: loaded when used, callable, and every docstring example runs."""

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import Document

import rag_app
from rag_app import (
    Embedding,
    Index,
    compare,
    evaluate,
    finetune,
    ingest,
    open_index,
    sweep,
)
from rag_app.callable_stage import FUNCTIONS
from rag_app.errors import ModelError, PairsError

SUBJECTS = [f"{thing}{number}" for thing in ("parcels", "refunds", "gifts") for number in range(10)]
PASSAGES = {
    subject: f"Here is what to know of {subject}, which stands on page {10 * number}."
    for number, subject in enumerate(SUBJECTS)
}


def function_of(name: str) -> Any:
    """What a public name stands for; of a stage's package the function."""
    if f"rag_app.{name}" in FUNCTIONS:
        return getattr(importlib.import_module(FUNCTIONS[f"rag_app.{name}"]), name)
    return getattr(rag_app, name)


def documents() -> list[Document]:
    return [Document(id_=subject, text=text) for subject, text in PASSAGES.items()]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    ingest(documents(), storage=tmp_path, embedder=WordModel(), chunk_overlap=0)
    return open_index(storage=tmp_path, embedder=WordModel())


def test_every_public_name_is_there_and_documented() -> None:
    for name in rag_app.__all__:
        documented = inspect.getdoc(function_of(name)) or ""
        assert name == "__version__" or ">>> " in documented, f"{name} has no example"
    assert dir(rag_app) == rag_app.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rag_app.nothing


def test_stages_are_functions_however_they_were_imported() -> None:
    code = (
        "from rag_app import ingest, finetune, evaluate, sweep\n"
        "import rag_app.ingest.stage, rag_app.finetune.stage\n"
        "import rag_app.sweep.stage as stage\n"
        "from rag_app import ingest as again\n"
        "import inspect, rag_app\n"
        "assert again is ingest is rag_app.ingest and callable(ingest)\n"
        "print(list(inspect.signature(finetune).parameters)[:2], stage.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['pairs', 'storage'] rag_app.sweep.stage\n"


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, rag_app; print([n for n in sys.modules if n.startswith('rag_app')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['rag_app']\n"


@pytest.mark.parametrize("name", [name for name in rag_app.__all__ if name != "__version__"])
def test_examples_run(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    value = function_of(name)
    known = dict(vars(importlib.import_module(value.__module__)))
    known["storage"] = (
        tmp_path_factory.mktemp("fresh")
        if name in ("ingest", "finetune", "sweep")
        else prepared(tmp_path_factory)
    )
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder(recurse=False).find(value, name, globs=known):
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The storage that the examples share: one FAQ document."""
    storage = tmp_path_factory.getbasetemp() / "examples"
    if not storage.exists():
        ingest([Document(id_="hours", text="We are open from nine to six.")], storage=storage)
    return storage


def test_documents_in_memory_are_added_changed_and_kept(tmp_path: Path) -> None:
    def run(given: list[Document]) -> list[list[str]]:
        report = ingest(given, storage=tmp_path, embedder=WordModel())
        return [report.sync.added, report.sync.changed, report.sync.removed]

    assert run(documents()) == [sorted(SUBJECTS), [], []]
    assert run(documents()) == [[], [], []]
    assert run([Document(id_="gifts1", text="Gifts are wrapped.")]) == [[], ["gifts1"], []]
    assert len(open_index(storage=tmp_path, embedder=WordModel())) == len(SUBJECTS)


def test_documents_that_repeat_another_are_left_out_if_wanted(tmp_path: Path) -> None:
    text = " ".join(PASSAGES.values())
    twice = [Document(id_=name, text=text) for name in ("a", "b")]
    report = ingest(twice, storage=tmp_path, embedder=WordModel(), dedupe=True)
    assert (report.sync.added, report.duplicates.originals) == (["a"], {"b": "a"})


def test_an_index_is_a_retriever_with_any_spec(index: Index) -> None:
    for spec in ("vector", "keyword", "hybrid:0.7"):
        hits = index.as_retriever(spec, top_k=2).retrieve("tell me about parcels3")
        assert hits[0].node.ref_doc_id == "parcels3"
        assert len(hits) <= 2


def test_a_query_engine_without_a_language_model_shows_passages(index: Index) -> None:
    response = index.as_query_engine(top_k=1).query("tell me about parcels3")
    assert str(response) == PASSAGES["parcels3"]
    assert [hit.node.ref_doc_id for hit in response.source_nodes] == ["parcels3"]
    assert response.metadata["answer"]["citations"][0]["document"] == "parcels3"


def test_two_retrievers_of_one_index_are_evaluated_and_compared(index: Index) -> None:
    asked = [(f"tell me about {subject}", text) for subject, text in PASSAGES.items()]
    vector = evaluate(index.as_retriever("vector"), asked, name="vector")
    keyword = evaluate(index.as_retriever("keyword"), asked, name="keyword")
    assert keyword.scores["hit_rate@1"].mean == 1
    assert compare(keyword, vector).n == len(SUBJECTS)


def test_the_embedding_of_an_index_is_llama_indexs(index: Index) -> None:
    embedding = index.embedding
    assert isinstance(embedding, Embedding)
    assert embedding.get_query_embedding("parcels3") == pytest.approx(
        WordModel().embed_queries(["parcels3"])[0]
    )


def test_an_embedder_of_ones_own_cannot_be_tuned(index: Index, tmp_path: Path) -> None:
    asked = [(f"tell me about {subject}", text) for subject, text in PASSAGES.items()]
    with pytest.raises(ModelError, match="whose weights are not here to be tuned"):
        finetune(asked, storage=tmp_path, embedder=WordModel(), index=index.name)


def test_pairs_of_mixed_kinds_are_refused(tmp_path: Path) -> None:
    mixed = [
        rag_app.LabelledQuestion("a", document="d"),
        rag_app.LabelledQuestion("b", passage="p"),
    ]
    with pytest.raises(PairsError, match="hand them over apart"):
        finetune(mixed, storage=tmp_path)


def test_a_sweep_over_documents_in_memory(tmp_path: Path) -> None:
    ingest(documents(), storage=tmp_path, embedder=WordModel(), chunk_size=32, chunk_overlap=0)
    asked = [(f"tell me about {subject}", text) for subject, text in PASSAGES.items()]
    result = sweep(
        SimpleNamespace(
            queries={str(n): question for n, (question, _) in enumerate(asked)},
            corpus={str(n): text for n, (_, text) in enumerate(asked)},
            relevant_docs={str(n): [str(n)] for n in range(len(asked))},
        ),
        storage=tmp_path,
        embedder=WordModel(),
        chunk_sizes=(16,),
        retrievers=("vector",),
    )
    assert {row.candidate.setting.chunking.chunk_size for row in result.rows} == {16, 32}
    assert not result.promoted
