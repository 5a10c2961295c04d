"""What `index list` shows of the indexes of a folder, without opening their stores.

Chroma and LlamaIndex take longer to import than a hundred indexes to list. A collection's metadata
are read from its database, the records from the file beside it, as of the token of the last write
(see `records`). Where they do not say everything, the stores are opened.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_app.index.folders import index_folders
from rag_app.index.records import KeptRecords

# As in connection.py and chroma.py, which import Chroma.
_STAMP, _DATABASE, _RECORDS = "written", "chroma/chroma.sqlite3", "records.json"
_METADATA = """
SELECT collections.name, key, str_value, int_value FROM collection_metadata
JOIN collections ON collections.id = collection_metadata.collection_id
"""
_INFO = (
    *("model", "base_model", "fingerprint", "dimension"),
    *("chunk_size", "chunk_overlap", "sentences"),
)


@dataclass(frozen=True, slots=True)
class Summary:
    """An index as it is listed.

    Fields:
        info: as `IndexInfo.to_metadata` says it.
    """

    name: str
    info: dict[str, str | int]
    made: str | None
    documents: int
    chunks: int


def summaries(storage: Path) -> list[Summary] | None:
    """All indexes of a storage folder by name; None where their stores must be opened."""
    found = []
    for folder in index_folders(storage / "indexes"):
        summary = _summary(folder)
        if summary is None:
            return None
        found.append(summary)
    return found


def _summary(folder: Path) -> Summary | None:
    try:
        token = (folder / _STAMP).read_text("utf-8")
        metadata = _metadata(folder)
        # None of an index that something else, or an earlier version, made.
        info = {key: metadata[key] for key in _INFO}
    except (OSError, ValueError, LookupError, sqlite3.Error):
        return None
    records = KeptRecords(folder / _RECORDS).get(token)
    if records is None:
        return None
    documents = len({record.document_id for record in records})
    return Summary(folder.name, info, metadata.get("made"), documents, len(records))


def _metadata(folder: Path) -> dict[str, Any]:
    """Metadata of the collection of the folder's name."""
    uri = f"{(folder / _DATABASE).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
        rows = connection.execute(_METADATA).fetchall()
    return {
        key: text if text is not None else whole
        for name, key, text, whole in rows
        if name == folder.name
    }
