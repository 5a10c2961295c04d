"""Vectors kept by model fingerprint and text, so that no text is ever embedded twice."""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag_app.models.embedding import SLAB
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors, passage_fingerprint

if TYPE_CHECKING:
    from rag_app.vectors import Embedder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    fingerprint TEXT NOT NULL, text_hash BLOB NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (fingerprint, text_hash)
) WITHOUT ROWID
"""
# SQLite's limit on parameters of one statement is 999 in old builds.
READ_BATCH = 500


class VectorCache:
    """`<storage>/cache/vectors.sqlite`. It can be deleted at any time; it only saves work."""

    def __init__(self, storage: Path) -> None:
        self.path = storage / "cache" / "vectors.sqlite"

    def embed_passages(
        self, model: "Embedder", texts: Sequence[str], *, progress: Progress = silent
    ) -> Vectors:
        """Vectors of the passages, from the cache or the model: (n_texts, dim) float32 unit length.

        What the model embeds is kept slab by slab, so that a killed run loses one slab.
        """
        return self._embed(passage_fingerprint(model), model.embed_passages, texts, model, progress)

    def embed_queries(
        self, model: "Embedder", texts: Sequence[str], *, progress: Progress = silent
    ) -> Vectors:
        """As `embed_passages`, for questions, whose vectors are kept apart."""
        key = f"{model.fingerprint}/query"
        return self._embed(key, model.embed_queries, texts, model, progress)

    def _embed(
        self,
        key: str,
        embed: Callable[[Sequence[str]], Vectors],
        texts: Sequence[str],
        model: "Embedder",
        progress: Progress,
    ) -> Vectors:
        """Vectors of the texts, (n_texts, dimension) float32, unit length; those unknown are made.

        Arguments:
            key: under which they are kept: the model, and whether as questions.
            embed: makes the vectors of some texts.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        hashes = [hashlib.sha256(text.encode()).digest() for text in texts]
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)
            known = _read(connection, key, hashes)
            missing = {h: t for h, t in zip(hashes, texts, strict=True) if h not in known}
            # Longest first, so that texts of one slab are alike in length.
            todo = sorted(missing, key=lambda h: -len(missing[h]))
            for start in range(0, len(todo), SLAB):
                slab = todo[start : start + SLAB]
                vectors = embed([missing[h] for h in slab])
                fresh = dict(zip(slab, vectors, strict=True))
                _write(connection, key, fresh)
                known.update(fresh)
                progress("embed", min(start + SLAB, len(todo)), len(todo))
        if not texts:
            return np.empty((0, model.dimension), np.float32)
        return np.stack([known[h] for h in hashes])


def _read(
    connection: sqlite3.Connection, fingerprint: str, hashes: Sequence[bytes]
) -> dict[bytes, Vectors]:
    """The vectors that are known, (dimension,) float32 each, by the hash of their text."""
    found: dict[bytes, Vectors] = {}
    for start in range(0, len(hashes), READ_BATCH):
        batch = hashes[start : start + READ_BATCH]
        marks = ",".join("?" * len(batch))
        rows = connection.execute(
            "SELECT text_hash, vector FROM vectors "  # noqa: S608
            f"WHERE fingerprint = ? AND text_hash IN ({marks})",
            (fingerprint, *batch),
        )
        found.update({key: np.frombuffer(blob, dtype=np.float32) for key, blob in rows})
    return found


def _write(connection: sqlite3.Connection, fingerprint: str, vectors: dict[bytes, Vectors]) -> None:
    with connection:
        connection.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
            [(fingerprint, key, vector.tobytes()) for key, vector in vectors.items()],
        )
