"""What is indexed, kept beside a store so that an unchanged ingest does not read it all again.

The chunks' own metadata stays the only record: the file has the token that the store was last
written under (see `connection`), and counts for nothing under another.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from rag_app.disk import write_whole


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """What the index knows about one chunk."""

    chunk_id: str
    document_id: str
    document_hash: str
    chunk_index: int
    chunk_count: int
    path: str


def by_document(records: Iterable[ChunkRecord]) -> dict[str, list[ChunkRecord]]:
    """The chunks of each document, by its id."""
    documents: dict[str, list[ChunkRecord]] = defaultdict(list)
    for record in records:
        documents[record.document_id].append(record)
    return dict(documents)


def whole_hash(records: Sequence[ChunkRecord]) -> str | None:
    """The hash that a document is indexed under; None where a chunk is missing, or of another hash.

    Arguments:
        records: of its chunks, one or more.
    """
    first = records[0]
    whole = len(records) == first.chunk_count
    same = all(record.document_hash == first.document_hash for record in records)
    return first.document_hash if whole and same else None


class KeptRecords:
    """The records of a store as of one token, in memory and in a file.

    Arguments:
        path: of the file; nothing is kept where it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token: str | None = None
        self._records: dict[str, ChunkRecord] = {}

    def get(self, token: str | None) -> list[ChunkRecord] | None:
        """The records under this token; None if they are not known."""
        if not token:
            return None
        if token != self._token:
            self._load()
        return list(self._records.values()) if token == self._token else None

    def set(self, token: str | None, records: Iterable[ChunkRecord]) -> None:
        """Keep what was read under this token."""
        self._token = token or None
        self._records = {record.chunk_id: record for record in records}

    def follow(
        self,
        tokens: tuple[str | None, str | None],
        *,
        written: Iterable[ChunkRecord] = (),
        deleted: Sequence[str] = (),
    ) -> None:
        """Take over a batch of our own.

        Arguments:
            tokens: the store's before and after it.
        """
        before, after = tokens
        if before is None or before != self._token:
            self._token = None
            return
        self._records |= {record.chunk_id: record for record in written}
        for chunk_id in deleted:
            self._records.pop(chunk_id, None)
        self._token = after

    def save(self) -> None:
        """Write the file, if the records are known."""
        if self._token is None:
            return
        rows = [astuple(record) for record in self._records.values()]
        # It only saves work.
        with suppress(OSError):
            write_whole(self._path, json.dumps([self._token, rows], ensure_ascii=False))

    def _load(self) -> None:
        try:
            token, rows = json.loads(self._path.read_text("utf-8"))
            self.set(str(token), [ChunkRecord(*row) for row in rows])
        except (OSError, ValueError, TypeError):
            self._token = None
