"""Keeping an index true to the documents.

Per group of documents: cut, embed, write the new chunks, then delete the old ones. The chunks' own
metadata is the only record of what is indexed: a document is up to date when exactly `chunk_count`
chunks carry its present hash and none carries another. A run that was killed at any point leaves an
index that answers, and the next run finishes the work. The questions that a document is known to
answer are compared by themselves: an edited one is written, and no chunk is embedded for it.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rag_app.chunks import PassageModel, SentenceChunker, document_hash, overlay, passage_text
from rag_app.duration import say_duration
from rag_app.errors import DocumentError
from rag_app.index.cache import VectorCache
from rag_app.index.known import KnownOf, copy_known, moved, read_known, renewed, write_known
from rag_app.index.records import ChunkRecord, by_document, whole_hash
from rag_app.index.store import WRITE_BATCH, VectorIndex
from rag_app.index.workload import foresee
from rag_app.known import KNOWN_QUESTIONS, KnownQuestion, load_questions
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from llama_index.core.schema import Document, TextNode


# Documents written together; a killed run loses at most the work on one group.
GROUP = 64


@dataclass
class SyncReport:
    """Ids of documents by what became of them, and counts of chunks.

    Fields:
        lost: documents that are kept though their file is gone from a place that was not looked at.
        requestioned: of the unchanged documents, those that other questions are known of now.
        known_questions: that the index holds after it.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    requestioned: list[str] = field(default_factory=list)
    known_questions: int = 0
    written_chunks: int = 0
    truncated_chunks: int = 0


def sync_documents(
    index: VectorIndex,
    documents: Sequence["Document"],
    *,
    roots: Sequence[Path],
    failed: Sequence[Path] = (),
    kept: Mapping[str, str] = MappingProxyType({}),
    model: PassageModel,
    cache: VectorCache,
    prune: bool = False,
    progress: Progress = silent,
) -> SyncReport:
    """Bring the index in line with the documents.

    Arguments:
        roots: the files and folders that were read. An indexed document whose file lies in one of
            them and which is not among `documents` is removed.
        failed: files that could not be read; their indexed documents are kept as they are.
        kept: documents that were not read, for their file is as it was: id -> hash.
        prune: remove also the documents of other places whose file is gone.
    Raises:
        DocumentError: two files that still exist claim one document id.
        IndexLocked: another process writes this index.
    """
    report = SyncReport()

    def embed_questions(questions: Mapping[str, Sequence[KnownQuestion]]) -> None:
        """So that the first question to the index does not wait for it."""
        texts = [one.text for each in questions.values() for one in each]
        cache.embed_queries(model, texts, progress=progress)

    with index.writing():
        indexed = by_document(index.records())
        _check_claims(documents, indexed)
        stale = _sort_out(documents, indexed, report)
        report.unchanged += _up_to_date_of(kept, indexed)
        known = read_known(index)
        chunker = SentenceChunker.for_model(model, index.info.chunking)
        if stale and (work := foresee(stale, chunker, model, cache)):
            say_duration(progress, str(work), work.seconds)
        for start in range(0, len(stale), GROUP):
            group = stale[start : start + GROUP]
            progress("index", start, len(stale))
            nodes = list(chunker.get_nodes_from_documents(group))
            texts = [passage_text(node) for node in nodes]
            vectors = cache.embed_passages(model, texts, progress=progress)
            former = {document.node_id: indexed.get(document.node_id, []) for document in group}
            questions = {
                document.node_id: renewed(
                    _own_questions(document),
                    _labelled_before(index, document, known.get(document.node_id)),
                )
                for document in group
            }
            embed_questions(questions)
            _replace_chunks(index, former, nodes, vectors, questions)
            report.written_chunks += len(nodes)
            report.truncated_chunks += sum(n > model.max_tokens for n in model.count_tokens(texts))
        progress("index", len(stale), len(stale))
        present = {document.node_id for document in documents} | kept.keys()
        gone = _gone(indexed, present, roots, failed)
        lost = _lost(indexed, present | gone.keys())
        if prune:
            gone |= lost
        else:
            report.lost = sorted(lost)
        index.delete([record.chunk_id for records in gone.values() for record in records])
        report.removed = sorted(gone)
        others = _other_questions(documents, known, set(report.unchanged))
        embed_questions(others)
        write_known(index, {_first(indexed[name]): some for name, some in others.items()})
        report.requestioned = sorted(others)
        report.known_questions = sum(len(each.questions) for each in read_known(index).values())
    return report


def copy_chunks(
    source: VectorIndex,
    target: VectorIndex,
    *,
    model: PassageModel,
    cache: VectorCache,
    progress: Progress = silent,
) -> None:
    """Fill `target` with the chunks of `source`, embedded with another model; resumes."""
    with target.writing():
        nodes = source.ordered_nodes()
        present = {record.chunk_id: record.document_hash for record in target.records()}
        missing = [
            node for node in nodes if present.get(node.node_id) != node.metadata["document_hash"]
        ]
        vectors = cache.embed_passages(
            model, [passage_text(node) for node in missing], progress=progress
        )
        target.write(missing, vectors)
        target.delete(sorted(present.keys() - {node.node_id for node in nodes}))
        copy_known(source, target)


def _check_claims(documents: Sequence["Document"], indexed: dict[str, list[ChunkRecord]]) -> None:
    for document in documents:
        path = document.metadata.get("path", "")
        for record in indexed.get(document.node_id, [])[:1]:
            if record.path == path or not Path(record.path).exists():
                continue
            mend = "ingest the folder above both, or rename one of their folders"
            if not (path and record.path):
                mend = "give the one that was handed over another id_"
            one, other = (name or "a document that was handed over" for name in (path, record.path))
            raise DocumentError(f"{one} and {other} both claim the id {document.node_id!r}; {mend}")


def _sort_out(
    documents: Sequence["Document"], indexed: dict[str, list[ChunkRecord]], report: SyncReport
) -> list["Document"]:
    """Put each document into the report; return those that must be written."""
    stale = []
    for document in documents:
        records = indexed.get(document.node_id)
        if records and whole_hash(records) == document_hash(document):
            report.unchanged.append(document.node_id)
            continue
        (report.changed if records else report.added).append(document.node_id)
        stale.append(document)
    return stale


def _up_to_date_of(kept: Mapping[str, str], indexed: dict[str, list[ChunkRecord]]) -> list[str]:
    """Those of the documents that the index holds as they are."""
    return [
        name
        for name, digest in kept.items()
        if name in indexed and whole_hash(indexed[name]) == digest
    ]


def _replace_chunks(
    index: VectorIndex,
    former: Mapping[str, Sequence[ChunkRecord]],
    nodes: Sequence["TextNode"],
    vectors: Vectors,
    questions: Mapping[str, Sequence[KnownQuestion]],
) -> None:
    """Write the new chunks of documents with their questions, then delete what they had before.

    Nobody reads a document between the two: a reader finds its old chunks or its new ones.

    Arguments:
        former: document id -> its chunks that are indexed, for each of the documents.
        nodes, vectors: the new chunks of all of them, and their vectors, (n_chunks, dim).
        questions: of each document.
    """
    rows: dict[str, list[int]] = {name: [] for name in former}
    for row, node in enumerate(nodes):
        rows[node.ref_doc_id or ""].append(row)
    for names in _batches({name: len(some) for name, some in rows.items()}):
        chosen = [row for name in names for row in rows[name]]
        written = [nodes[row] for row in chosen]
        first = {node.node_id: node.ref_doc_id for node in written if _is_first(node)}
        new = {node.node_id for node in written}
        old = [record.chunk_id for name in names for record in former[name]]
        with index.steady():
            index.write(written, vectors[chosen])
            write_known(index, {chunk: questions[name or ""] for chunk, name in first.items()})
            index.delete([chunk_id for chunk_id in old if chunk_id not in new])
        index.give_way()


def _batches(chunks: Mapping[str, int]) -> Iterator[list[str]]:
    """Documents that are replaced at once: few chunks together, for readers wait meanwhile."""
    names: list[str] = []
    count = 0
    for name, more in chunks.items():
        if names and count + more > WRITE_BATCH:
            yield names
            names, count = [], 0
        names.append(name)
        count += more
    if names:
        yield names


def _is_first(node: "TextNode") -> bool:
    return bool(node.metadata["chunk_index"] == 0)


def _own_questions(document: "Document") -> list[KnownQuestion]:
    """The questions that a document's table asks of it."""
    return load_questions(document.metadata.get(KNOWN_QUESTIONS, "[]"), document.node_id)


def _labelled_before(
    index: VectorIndex, document: "Document", known: KnownOf | None
) -> list[KnownQuestion]:
    """What was known of a document whose text changed, as far as it holds for the new text."""
    questions = known.questions if known else []
    if all(one.start is None for one in questions):
        return questions
    return moved(questions, overlay(index.chunks_of(document.node_id)), document.text)


def _other_questions(
    documents: Sequence["Document"], known: Mapping[str, KnownOf], unchanged: Collection[str]
) -> dict[str, list[KnownQuestion]]:
    """Of the unchanged documents, those whose questions are others now, with these."""
    found: dict[str, list[KnownQuestion]] = {}
    for document in documents:
        if document.node_id in unchanged:
            before = known[document.node_id].questions if document.node_id in known else []
            now = renewed(_own_questions(document), before)
            if now != before:
                found[document.node_id] = now
    return found


def _first(records: Sequence[ChunkRecord]) -> str:
    """The id of a document's first chunk."""
    return min(records, key=lambda record: record.chunk_index).chunk_id


def _gone(
    indexed: dict[str, list[ChunkRecord]],
    present: set[str],
    roots: Sequence[Path],
    failed: Sequence[Path],
) -> dict[str, list[ChunkRecord]]:
    """Indexed documents whose file was looked for and is no longer there."""
    # As documents name their files: absolute, links not followed.
    kept = [Path(os.path.abspath(path)) for path in failed]  # noqa: PTH100
    looked_at = [Path(os.path.abspath(root)) for root in roots]  # noqa: PTH100

    def is_gone(records: Sequence[ChunkRecord]) -> bool:
        path = Path(records[0].path)
        looked_for = any(path.is_relative_to(root) for root in looked_at)
        return looked_for and not any(path.is_relative_to(place) for place in kept)

    return {
        document: records
        for document, records in indexed.items()
        if document not in present and is_gone(records)
    }


def _lost(
    indexed: dict[str, list[ChunkRecord]], known: Collection[str]
) -> dict[str, list[ChunkRecord]]:
    """Indexed documents, other than those that are known of, whose file is no longer there."""
    others = ((name, records) for name, records in indexed.items() if name not in known)
    return {
        name: records
        for name, records in others
        if records[0].path and not os.path.lexists(records[0].path)
    }


def stale_documents(index: VectorIndex, documents: Sequence["Document"]) -> "list[Document]":
    """The documents that `sync_documents` would cut and embed."""
    return _sort_out(documents, by_document(index.records()), SyncReport())


def is_in_step(
    index: VectorIndex,
    documents: Sequence["Document"],
    *,
    roots: Sequence[Path],
    failed: Sequence[Path] = (),
    kept: Mapping[str, str] = MappingProxyType({}),
) -> bool:
    """Whether `sync_documents` would neither write nor remove a chunk."""
    indexed = by_document(index.records())
    stale = _sort_out(documents, indexed, SyncReport())
    present = {document.node_id for document in documents} | kept.keys()
    return not stale and not _gone(indexed, present, roots, failed)
