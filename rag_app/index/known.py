"""The known questions of an index: in the row of each document's first chunk, beside its node.

So they come and go with the document, every client of a server sees them, and no vector depends on
them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from rag_app.index.store import KNOWN, KNOWN_COUNT, READ_BATCH, WRITE_BATCH, VectorIndex
from rag_app.known import FAQ, KnownQuestion, dump_questions, load_questions, without_repeats

if TYPE_CHECKING:
    from rag_app.index.records import ChunkRecord


@dataclass(frozen=True, slots=True)
class KnownOf:
    """What a document is known to answer.

    Fields:
        chunk_id: its first chunk.
        chunk_count: of the document.
    """

    chunk_id: str
    chunk_count: int
    questions: list[KnownQuestion]


def read_known(index: VectorIndex) -> dict[str, KnownOf]:
    """The known questions of an index by document."""
    return {
        str(metadata["document_id"]): KnownOf(
            chunk_id,
            int(metadata["chunk_count"]),
            load_questions(metadata[KNOWN], str(metadata["document_id"])),
        )
        for chunk_id, metadata in _known_rows(index)
    }


def questions_of(index: VectorIndex, documents: Iterable[str]) -> dict[str, list[KnownQuestion]]:
    """What these documents are known to answer, without those of which nothing is known."""
    asked = {"document_id": {"$in": sorted(set(documents))}}
    where = {"$and": [asked, {KNOWN_COUNT: {"$gte": 1}}]}
    found = index.connection.ask(lambda rows: rows.get(where=where, include=["metadatas"]))
    return {
        str(row["document_id"]): load_questions(row[KNOWN], str(row["document_id"]))
        for row in found["metadatas"]
    }


def row_names(index: VectorIndex) -> dict[str, str]:
    """What a table's rows are called, by document: the first of their questions, and the row."""
    names: dict[str, str] = {}
    for document, known in read_known(index).items():
        own = next(filter(None, (question.name for question in known.questions)), "")
        if own:
            names[document] = own
    return names


def _known_rows(index: VectorIndex) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Id and metadata of the chunks that have known questions, few in memory at once."""
    known = {KNOWN_COUNT: {"$gte": 1}}
    for start in range(0, index.count(), READ_BATCH):

        def read(rows: Any, start: int = start) -> Any:
            return rows.get(where=known, include=["metadatas"], limit=READ_BATCH, offset=start)

        found = index.connection.ask(read)
        yield from zip(found["ids"], found["metadatas"], strict=True)
        if len(found["ids"]) < READ_BATCH:
            return


def write_known(index: VectorIndex, known: Mapping[str, Sequence[KnownQuestion]]) -> None:
    """Replace the known questions of documents; chunks and vectors stay as they are.

    Arguments:
        known: id of a document's first chunk -> its questions.
    """
    ids = list(known)
    for start in range(0, len(ids), WRITE_BATCH):
        some = ids[start : start + WRITE_BATCH]
        with index.batch() as collection:
            collection.update(ids=some, metadatas=[_row(known[chunk_id]) for chunk_id in some])


def _row(questions: Sequence[KnownQuestion]) -> dict[str, Any]:
    if not questions:
        # Chroma merges metadata; only None takes a key away.
        return {KNOWN: None, KNOWN_COUNT: None}
    return {KNOWN: dump_questions(questions), KNOWN_COUNT: len(questions)}


def add_known(index: VectorIndex, questions: Iterable[KnownQuestion]) -> int:
    """Remember that passages answer these questions, until their documents go; returns how many.

    Those that are known already, that nobody could ask, or whose document is not in the index are
    left out. The questions of the documents themselves are brought by `ingest`, not here.

    Raises:
        IndexLocked: another process writes the index.
    """
    new: dict[str, list[KnownQuestion]] = {}
    for question in questions:
        new.setdefault(question.document_id, []).append(question)
    with index.writing():
        known = read_known(index)
        first = _first_chunks(index.records())
        changed = {}
        added = 0
        for document_id in new.keys() & first.keys():
            before = known[document_id].questions if document_id in known else []
            after = without_repeats([*before, *new[document_id]])
            if len(after) > len(before):
                changed[first[document_id]] = after
                added += len(after) - len(before)
        write_known(index, changed)
    return added


def _first_chunks(records: "Iterable[ChunkRecord]") -> dict[str, str]:
    return {record.document_id: record.chunk_id for record in records if not record.chunk_index}


def renewed(own: Iterable[KnownQuestion], before: Iterable[KnownQuestion]) -> list[KnownQuestion]:
    """A document's own questions as they are now, and those of other origin that it had before."""
    return without_repeats(chain(own, (one for one in before if one.origin != FAQ)))


def moved(questions: Iterable[KnownQuestion], before: str, after: str) -> list[KnownQuestion]:
    """The questions of a document whose text changed, each where its evidence stands now.

    One whose evidence stands there no more is left out.

    Arguments:
        before, after: the document's text.
    """
    return [there for one in questions if (there := _moved(one, before, after)) is not None]


def _moved(question: KnownQuestion, before: str, after: str) -> KnownQuestion | None:
    former = question.start
    if former is None:
        return question
    evidence = before[former : question.end]
    starts = [match.start() for match in re.finditer(re.escape(evidence), after)]
    if not starts or not evidence.strip():
        return None
    # Of several places the nearest.
    start = min(starts, key=lambda place: abs(place - former))
    return replace(question, start=start, end=start + len(evidence))


def copy_known(source: VectorIndex, target: VectorIndex) -> None:
    """Give an index of the same chunks the source's known questions; its own labelled ones stay."""
    theirs, own = read_known(source), read_known(target)
    first = _first_chunks(target.records())
    changed = {}
    for document_id in (theirs.keys() | own.keys()) & first.keys():
        before = own[document_id].questions if document_id in own else []
        there = theirs[document_id].questions if document_id in theirs else []
        after = renewed(there, before)
        if after != before:
            changed[first[document_id]] = after
    write_known(target, changed)
