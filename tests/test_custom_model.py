"""A model of the user's own: what it makes can be searched, and tuning says why it cannot be."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import WordModel

from rag_app.errors import IndexMismatch, ModelError
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.stage import finetune
from rag_app.index import Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models.custom import NO_LIMIT, CustomModel
from rag_app.progress import Progress, silent
from rag_app.query.opened import Index
from rag_app.vectors import Embedder, Vectors


class Bare:
    """An `Embedder` and no more: it has no tokenizer to count with."""

    name = "bare"
    dimension = 64
    fingerprint = "bare-1"

    def __init__(self) -> None:
        self._words = WordModel()

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        return self._words.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        return self._words.embed_passages(texts)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("refunds", "parcels", "gifts"):
        (folder / f"{name}.md").write_text(f"What to know about {name}.", "utf-8")
    return folder


def made(tmp_path: Path, docs: Path, embedder: Embedder) -> Workspace:
    workspace = Workspace(tmp_path / "storage", embedder=embedder)
    report = ingest(workspace, IngestRequest([docs], options=IndexOptions(embedder.name)))
    assert (report.model, report.chunks) == (embedder.name, 3)
    return workspace


@pytest.mark.parametrize("embedder", [Bare(), WordModel()], ids=lambda model: model.name)
def test_what_it_made_is_opened_and_searched(
    tmp_path: Path, docs: Path, embedder: Embedder
) -> None:
    workspace = made(tmp_path, docs, embedder)
    index = Index(workspace, workspace.open())
    assert index.model.name == embedder.name
    assert index.store.info.fingerprint == embedder.fingerprint
    [hit] = index.as_retriever(top_k=1).retrieve("parcels")
    assert hit.node.ref_doc_id == "docs/parcels.md"
    assert hit.score == pytest.approx(
        float(
            embedder.embed_queries(["parcels"])[0]
            @ embedder.embed_passages(["parcels\n\nWhat to know about parcels."])[0]
        ),
        abs=1e-3,
    )


def test_a_second_ingest_embeds_nothing(tmp_path: Path, docs: Path) -> None:
    embedder = WordModel()
    workspace = made(tmp_path, docs, embedder)
    embedded = len(embedder.embedded)
    again = ingest(workspace, IngestRequest([docs], options=IndexOptions("words")))
    assert len(again.sync.unchanged) == 3
    assert len(embedder.embedded) == embedded


def test_one_without_a_tokenizer_counts_as_minilm_does(tmp_path: Path) -> None:
    model = CustomModel(Bare(), storage=tmp_path)
    assert model.count_tokens(["refunds", "a b c"]) == [2, 3]
    assert (model.max_tokens, model.overhead_tokens) == (NO_LIMIT, 0)
    own = CustomModel(WordModel(max_tokens=99), storage=tmp_path)
    assert own.count_tokens(["unbelievable", "a b c"]) == [1, 3]
    assert own.max_tokens == 99
    np.testing.assert_array_equal(own.embed_passages(["a b"]), WordModel().embed_passages(["a b"]))


def test_its_index_opens_with_it_alone(tmp_path: Path, docs: Path) -> None:
    workspace = made(tmp_path, docs, WordModel())
    with pytest.raises(ModelError, match="'words'"):
        Workspace(workspace.storage).open()
    with pytest.raises(IndexMismatch):
        Workspace(workspace.storage, embedder=WordModel(seed=1)).open()


def test_it_cannot_be_tuned_and_nothing_is_changed(tmp_path: Path, docs: Path) -> None:
    workspace = made(tmp_path, docs, WordModel())
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"question": f"tell me about {name}", "document": f"docs/{name}.md"}
        for name in ("refunds", "parcels", "gifts")
    ]
    pairs.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    before = workspace.catalog.names()
    with pytest.raises(ModelError, match="words was brought as an embedder, whose weights are not"):
        finetune(workspace, FinetuneRequest(pairs=pairs, results=tmp_path / "results"))
    assert workspace.catalog.names() == before
    assert not workspace.models.exists()
