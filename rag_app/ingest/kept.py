"""Which files an index holds as they are, so that an ingest need not read them.

`files.json` beside an index says of each file what it was when it was read, which documents it
gave, and under which reading key: each folder may be read with options of its own. It only saves
work: a document counts as there when the index's own chunks say so, and what the file does not
tell, or tells wrongly, is read.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.disk import write_whole
from rag_app.documents.content import DatesDiffer
from rag_app.documents.left_out import LeftOut
from rag_app.documents.states import FileState, KeptFile
from rag_app.index.records import by_document, whole_hash

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.documents import ReadResult, Source
    from rag_app.index import VectorIndex

FILES = "files.json"


class KeptFiles:
    """What is known of the files of an index, under one reading key.

    Arguments:
        indexes: that must hold the documents of a file for it to be kept; the first has the record.
        key: as `reading_key` makes it.
    """

    def __init__(self, indexes: "Sequence[VectorIndex]", key: str) -> None:
        self.index = indexes[0].name
        self._path = indexes[0].folder / FILES
        self._key = key
        self._indexes = indexes
        self._files = _load(self._path)
        self._known = self._files.get(key, {})
        self._hashes: list[dict[str, str]] | None = None

    def keeps(self, source: "Source") -> KeptFile | None:
        """What is known of a file that need not be read; None if it must be."""
        known = self._known.get(str(source.path))
        if known is None or known.state is None or known.id != source.id:
            return None
        there = self._holds(known.documents) and known.state.is_of(source.path)
        return known if there else None

    def save(self, reading: "ReadResult", roots: Sequence[Path]) -> None:
        """Remember what was read, and forget what is gone below the roots."""
        from rag_app.chunks import document_hash

        texts: dict[str, dict[str, str]] = defaultdict(dict)
        for document in reading.documents:
            texts[_path(document)][document.node_id] = document_hash(document)
        tops = [root.absolute() for root in roots]
        kept = {
            key: {
                path: one
                for path, one in files.items()
                if not any(Path(path).is_relative_to(top) for top in tops)
            }
            for key, files in self._files.items()
        }
        own = kept.setdefault(self._key, {})
        for path, one in {**reading.kept, **reading.read}.items():
            documents = one.documents or texts.get(str(path))
            if documents and one.state:
                own[str(path)] = replace(one, documents=documents)
        kept = {key: files for key, files in kept.items() if files}
        if kept == self._files:
            return
        # It only saves work.
        with suppress(OSError):
            write_whole(self._path, _dump(kept))

    def _holds(self, documents: Mapping[str, str]) -> bool:
        if self._hashes is None:
            self._hashes = [whole_documents(index) for index in self._indexes]
        return all(
            hashes.get(name) == digest
            for hashes in self._hashes
            for name, digest in documents.items()
        )


def whole_documents(index: "VectorIndex") -> dict[str, str]:
    """Document id -> hash, of those whose chunks are all there and of one hash."""
    documents = by_document(index.records())
    hashes = {name: whole_hash(records) for name, records in documents.items()}
    return {name: digest for name, digest in hashes.items() if digest is not None}


def _path(document: "Document") -> str:
    return str(document.metadata.get("path", ""))


def _load(path: Path) -> dict[str, dict[str, KeptFile]]:
    """Reading key -> path -> what the file says; nothing where it is damaged."""
    try:
        known: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return {
            key: {name: _kept_file(values) for name, values in files.items()}
            for key, files in known["files_by_key"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _kept_file(values: Sequence[Any]) -> KeptFile:
    name, state, documents, merged, left_out, by_ocr, dates = values
    parts = [LeftOut(**one) for one in left_out]
    differ = [DatesDiffer(**one) for one in dates]
    return KeptFile(name, FileState(*state), documents, merged, parts, by_ocr, differ)


def _values(one: KeptFile) -> list[Any]:
    return [
        one.id,
        [getattr(one.state, name) for name in FileState.__slots__],
        one.documents,
        one.merged,
        [asdict(left) for left in one.left_out],
        one.by_ocr,
        [asdict(differ) for differ in one.dates_differ],
    ]


def _dump(kept: Mapping[str, Mapping[str, KeptFile]]) -> str:
    files = {
        key: {path: _values(one) for path, one in files.items()} for key, files in kept.items()
    }
    return json.dumps({"files_by_key": files}, ensure_ascii=False)


def documents_of(kept: "Collection[KeptFile]") -> dict[str, str]:
    """Document id -> hash, of all these files."""
    return {name: digest for one in kept for name, digest in one.documents.items()}
