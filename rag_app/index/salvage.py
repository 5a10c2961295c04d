"""What a damaged store still holds, read from its database past Chroma.

Chroma (1.5) keeps each row's text and metadata in SQLite. Where it refuses to open a store, because
its log holds what it cannot apply, or because the files of its vectors are gone, the rows are there
all the same. Vectors are made again from the texts, or taken from the cache.
"""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node

from rag_app.index.store import KNOWN
from rag_app.known import KnownQuestion, load_questions

TEXT = "chroma:document"
_ROWS = """
SELECT embeddings.embedding_id, key, string_value, int_value, float_value, bool_value
FROM embedding_metadata JOIN embeddings ON embeddings.id = embedding_metadata.id
"""
_COLLECTION = """
SELECT key, str_value, int_value, float_value, NULL FROM collection_metadata
"""


@dataclass
class Salvaged:
    """Metadata of the collection, and its rows as far as they can be read."""

    metadata: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def nodes(self) -> list[TextNode]:
        """The chunks whose rows are whole."""
        found = []
        for row in self.rows.values():
            values = dict(row)
            text = values.pop(TEXT, None)
            if text is not None and "_node_content" in values:
                with suppress(ValueError, KeyError, TypeError):
                    found.append(metadata_dict_to_node(values, text=text))
        return found

    def known(self) -> dict[str, list[KnownQuestion]]:
        """The known questions that can be read, by the chunk that they stand beside."""
        found = {}
        for name, row in self.rows.items():
            with suppress(ValueError, KeyError, TypeError):
                found[name] = load_questions(row[KNOWN], str(row["document_id"]))
        return found


def salvage(database: Path) -> Salvaged:
    """Read what there is; a page that cannot be read ends it."""
    found = Salvaged()
    uri = f"{database.resolve().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True)) as connection:
        for key, *values in connection.execute(_COLLECTION):
            found.metadata[key] = _value(*values)
        for name, key, *values in connection.execute(_ROWS):
            found.rows.setdefault(name, {})[key] = _value(*values)
    return found


def _value(text: str | None, whole: int | None, real: float | None, truth: int | None) -> Any:
    if truth is not None:
        return bool(truth)
    return next((value for value in (text, whole, real) if value is not None), None)
