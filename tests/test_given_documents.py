"""LlamaIndex documents that a program hands over: their ids, updates, failures, and a sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import Document

from rag_app.chunks import Chunking
from rag_app.documents import Columns
from rag_app.documents.given import given_documents
from rag_app.errors import DocumentError, IndexMissing
from rag_app.index import Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest, ingest_reading
from rag_app.query.opened import Index
from rag_app.sweep.documents import documents_of
from rag_app.sweep.indexes import IndexBuilder

OPTIONS = IndexOptions("words", chunk_size=16, chunk_overlap=0)
HOURS = "We are open from nine to six."
PARCELS = "Parcels take two days."


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "storage", embedder=WordModel())


def put(workspace: Workspace, *documents: Document, **options: Any) -> IngestReport:
    request = IngestRequest(options=OPTIONS, **options)
    return ingest_reading(workspace, given_documents(documents), request)


def texts(workspace: Workspace) -> list[str]:
    return sorted(node.text for node in Index(workspace, workspace.open()).nodes)


def named(**texts: str) -> list[Document]:
    return [Document(id_=name, text=text) for name, text in texts.items()]


def test_a_second_ingest_adds_nothing(workspace: Workspace) -> None:
    first = put(workspace, *named(hours=HOURS, parcels=PARCELS))
    assert (first.sync.added, first.chunks, first.failures) == (["hours", "parcels"], 2, [])
    again = put(workspace, *named(parcels=PARCELS, hours=HOURS))
    assert again.sync.unchanged == ["hours", "parcels"]
    assert (again.sync.added, again.sync.changed, again.sync.written_chunks) == ([], [], 0)


def test_a_changed_text_takes_the_place_of_the_old_one(workspace: Workspace) -> None:
    put(workspace, *named(hours=HOURS, parcels=PARCELS))
    report = put(workspace, *named(hours="We are closed."))
    assert (report.sync.changed, report.sync.removed) == (["hours"], [])
    # What was not handed over again stays.
    assert texts(workspace) == [PARCELS, "We are closed."]


def test_changed_metadata_is_an_update_too(workspace: Workspace) -> None:
    put(workspace, Document(id_="hours", text=HOURS, metadata={"shop": "Berlin"}))
    report = put(workspace, Document(id_="hours", text=HOURS, metadata={"shop": "Seoul"}))
    assert report.sync.changed == ["hours"]
    [node] = Index(workspace, workspace.open()).nodes
    assert node.metadata["shop"] == "Seoul"


def in_a_file(text: str, **metadata: str) -> Document:
    """As SimpleDirectoryReader gives one: with an id that is another one in each run."""
    return Document(text=text, metadata={"file_path": "/data/faq.pdf", **metadata})


@pytest.mark.parametrize(
    ("make", "document_id"),
    [
        (lambda: in_a_file(HOURS), "/data/faq.pdf"),
        (lambda: in_a_file(HOURS, page_label="2"), "/data/faq.pdf#page-2"),
        (lambda: Document(text=HOURS), "text-"),
    ],
    ids=["file", "page", "text"],
)
def test_a_random_id_is_not_what_a_document_is_known_by(
    workspace: Workspace, make: Any, document_id: str
) -> None:
    one, other = make(), make()
    assert one.id_ != other.id_
    [added] = put(workspace, one).sync.added
    assert added.startswith(document_id)
    assert put(workspace, other).sync.unchanged == [added]


def test_pages_of_a_file_are_documents_of_their_own(workspace: Workspace) -> None:
    report = put(workspace, *(in_a_file(f"Page {n}.", page_label=str(n)) for n in (1, 2)))
    assert report.sync.added == ["/data/faq.pdf#page-1", "/data/faq.pdf#page-2"]
    changed = put(workspace, in_a_file("Page two.", page_label="2"))
    assert changed.sync.changed == ["/data/faq.pdf#page-2"]


def test_an_empty_one_fails_and_the_rest_goes_on(workspace: Workspace) -> None:
    report = put(workspace, *named(empty=" \n", hours=HOURS))
    assert report.sync.added == ["hours"]
    [failure] = report.failures
    assert str(failure.path) == "empty"
    assert failure.reason.startswith("is empty")


def test_one_that_became_empty_stays_as_it_was(workspace: Workspace) -> None:
    put(workspace, *named(hours=HOURS, parcels=PARCELS))
    report = put(workspace, *named(hours="", parcels="Parcels take a day."))
    assert [str(failure.path) for failure in report.failures] == ["hours"]
    assert texts(workspace) == ["Parcels take a day.", HOURS]


def test_two_with_one_id_are_told_apart(workspace: Workspace) -> None:
    report = put(workspace, *named(hours=HOURS), *named(hours=PARCELS))
    assert texts(workspace) == [HOURS]
    [failure] = report.failures
    assert failure.reason == "has the id of another document; give each an id_ of its own"


@pytest.mark.parametrize("documents", [(), named(empty="")], ids=["none", "an empty one"])
def test_nothing_to_read_leaves_no_index(
    workspace: Workspace, documents: Sequence[Document]
) -> None:
    with pytest.raises(DocumentError):
        put(workspace, *documents)
    with pytest.raises(IndexMissing):
        workspace.open()


def test_metadata_that_chroma_stores_and_filters(workspace: Workspace) -> None:
    metadata = {"Product Line": "basic", "date": "2024-03-05", "tags": ["a", "b"], "none": None}
    put(
        workspace,
        Document(id_="hours", text=HOURS, metadata=metadata),
        Document(id_="parcels", text=PARCELS, metadata={"date": "2022-01-01"}),
    )
    index = Index(workspace, workspace.open())
    for where in ("product_line = basic", "date >= 2023-01"):
        found = index.as_retriever(where=where).retrieve("anything")
        assert [hit.node.ref_doc_id for hit in found] == ["hours"], where
    # Only the title is embedded with a text.
    [hit] = index.as_retriever(top_k=1).retrieve(HOURS)
    assert "basic" not in hit.node.get_content("embed")


def test_a_folder_and_what_was_handed_over_live_side_by_side(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("A file about refunds.", "utf-8")
    # A root that holds the working folder must not take what has no path for its own.
    monkeypatch.chdir(docs)
    put(workspace, *named(hours=HOURS))
    report = ingest(workspace, IngestRequest([docs], options=OPTIONS))
    assert (report.sync.added, report.sync.removed, report.chunks) == (["docs/a.md"], [], 2)
    assert put(workspace, *named(parcels=PARCELS)).chunks == 3
    (docs / "a.md").write_text("A file about gifts.", "utf-8")
    assert ingest(workspace, IngestRequest([docs], options=OPTIONS)).sync.changed == ["docs/a.md"]


@pytest.mark.parametrize("file_first", [True, False])
def test_a_file_and_a_document_with_one_id_say_so(
    workspace: Workspace, tmp_path: Path, file_first: bool
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    file = docs / "a.md"
    file.write_text("A file about refunds.", "utf-8")
    document = Document(id_="docs/a.md", text="Handed over.")

    def put_both(order: Sequence[bool]) -> None:
        for is_file in order:
            if is_file:
                ingest(workspace, IngestRequest([docs], options=OPTIONS))
            else:
                put(workspace, document)

    with pytest.raises(DocumentError) as refused:
        put_both((file_first, not file_first))
    names = [str(file), "a document that was handed over"]
    one, other = names[::-1] if file_first else names
    assert str(refused.value) == (
        f"{one} and {other} both claim the id 'docs/a.md'; give the one that was handed over "
        "another id_"
    )


def test_a_sweep_cuts_the_whole_of_each_again(workspace: Workspace, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("A file about refunds.", "utf-8")
    text = "\n\n".join(f"Rule {n} says what number {n} of the many rules is for." for n in range(9))
    put(workspace, Document(id_="rules", text=text, metadata={"title": "Rules", "shop": "Seoul"}))
    ingest(workspace, IngestRequest([docs], options=OPTIONS))
    source = workspace.catalog.open()
    again = {document.id_: document for document in documents_of(source, Columns())}
    assert set(again) == {"docs/a.md", "rules"}
    assert again["rules"].text == text
    assert again["rules"].metadata["shop"] == "Seoul"
    [given] = given_documents(
        [Document(id_="rules", text=text, metadata={"title": "Rules", "shop": "Seoul"})]
    ).documents
    assert again["rules"].hash == given.hash
    same = IndexBuilder(workspace, source).build("words", source.info.chunking)
    assert (same.index.name, same.seconds) == (source.name, None)
    handed_over = Document(id_="rules", text=text, metadata={"title": "Rules", "shop": "Seoul"})
    assert put(workspace, handed_over).sync.unchanged == ["rules"]
    built = IndexBuilder(workspace, source).build("words", Chunking(64, 0))
    assert built.index.name != source.name
    assert built.index.count() < source.count()
    assert {node.ref_doc_id for node in built.passages.nodes} == {"docs/a.md", "rules"}
