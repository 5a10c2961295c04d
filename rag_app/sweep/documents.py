"""The documents of an index, read again from where they were read."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rag_app.chunks import CHUNK_KEYS, EMBEDDED_KEY, chunks_by_document, overlay
from rag_app.documents import Columns, Source, read_sources
from rag_app.documents.given import KIND
from rag_app.documents.named import can_be_named, with_metadata
from rag_app.errors import DocumentError
from rag_app.pairs import dataset_of, read_corpus
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document, TextNode

    from rag_app.index import VectorIndex


def documents_of(
    index: "VectorIndex", columns: Columns, *, progress: Progress = silent
) -> "list[Document]":
    """Read the documents of an index again, from where they were read.

    Those that a program handed over are put together from their chunks; passages that came with
    their questions are read from that dataset.

    Raises:
        DocumentError: one is gone, or cannot be read.
        PairsError: a dataset cannot be read.
        ConfigError: it was read by OCR, which is no longer there.
    """
    chunks: list[TextNode] = []
    # The languages of each file with pages that were read by OCR.
    ocr: dict[str, str | None] = {}
    # What `ingest --metadata` gave each document stands in the index alone.
    given: dict[str, dict[str, Any]] = {}
    for node in index.nodes():
        kind = node.metadata.get("kind")
        if kind == KIND:
            chunks.append(node)
            continue
        given[str(node.ref_doc_id)] = _nameable(node.metadata)
        if kind == "pdf":
            ocr[str(node.metadata.get("path"))] = node.metadata.get("ocr")
    handed_over = _given_again(chunks)
    known = {document.node_id for document in handed_over}
    paths = {
        record.document_id: record.path
        for record in index.records()
        if record.document_id not in known
    }
    named = {name: (_file_id(name, path), path) for name, path in paths.items()}
    files = {name: path for name, (file, path) in named.items() if file is not None}
    passages = {name: path for name, path in paths.items() if name not in files}
    sources = [
        Source(Path(path), file, columns.question, columns.answer, ocr.get(path))
        for file, path in sorted(
            {(file, path) for file, path in named.values() if file is not None}
        )
    ]
    return [
        *handed_over,
        *(
            with_metadata(document, given[document.node_id])
            for document in _of_files(sources, files, progress=progress)
        ),
        *_of_datasets(passages, index.name),
    ]


def _nameable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if can_be_named(key)}


def _of_files(
    sources: Sequence[Source], wanted: Mapping[str, str], *, progress: Progress
) -> "list[Document]":
    """Documents of files.

    Arguments:
        wanted: document id -> path of its file.
    """
    reading = read_sources(sources, progress=progress)
    if reading.failures:
        failure = reading.failures[0]
        raise DocumentError(
            f"{failure.path} {failure.reason}; run `rag-app ingest` on its folder, then sweep again"
        )
    if gone := sorted(wanted.keys() - {document.node_id for document in reading.documents}):
        raise DocumentError(
            f"{gone[0]} is no longer in {wanted[gone[0]]}; run `rag-app ingest` on its folder, "
            "then sweep again"
        )
    return [document for document in reading.documents if document.node_id in wanted]


def _of_datasets(wanted: Mapping[str, str], index: str) -> "list[Document]":
    """Passages that came with their questions.

    Arguments:
        wanted: document id -> path of the file with the passage.
        index: whose they are, for messages.
    """
    passages = []
    for path in sorted(set(wanted.values())):
        for passage in read_corpus(dataset_of(Path(path))) or ():
            if wanted.get(passage.node_id) == path:
                # As the index has it: relative, perhaps.
                passage.metadata["path"] = path
                passages.append(passage)
    if gone := sorted(wanted.keys() - {passage.node_id for passage in passages}):
        dataset = dataset_of(Path(wanted[gone[0]]))
        raise DocumentError(
            f"{gone[0]}, a passage of index {index}, is no longer in {dataset}; put back what was "
            f"there, or make an index of what is there now, `rag-app evaluate {dataset}`, and name "
            "it with --index"
        )
    return passages


def _given_again(nodes: "Sequence[TextNode]") -> "list[Document]":
    """The documents that a program handed over, from their chunks."""
    from llama_index.core.schema import Document

    groups = chunks_by_document(nodes)
    documents = []
    for document_id, chunks in groups.items():
        first = chunks[0]
        metadata = {key: v for key, v in first.metadata.items() if key not in CHUNK_KEYS}
        unread = sorted(key for key in metadata if key != EMBEDDED_KEY)
        documents.append(
            Document(
                id_=document_id,
                text=overlay(chunks, paragraphs=True),
                metadata=metadata,
                excluded_embed_metadata_keys=unread,
                excluded_llm_metadata_keys=unread,
            )
        )
    return documents


def _file_id(document: str, path: str) -> str | None:
    """The id of a document's file: without the part that tells it from others of the file.

    None for a passage of a dataset, whose id names no file.
    """
    parts = PurePath(unicodedata.normalize("NFC", path)).parts
    # An id is the end of the file's path, how much of it only the id knows.
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if f"{document}#".startswith(f"{end}#")), None)
