"""Vectors kept by model fingerprint and text, so that no text is ever embedded twice.

The cache only saves work, and nothing depends on it: a vector that cannot be right is made anew, a
damaged file is begun anew, and where none can be written nothing is kept.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag_app.disk import disk_is_full
from rag_app.models.embedding import SLAB
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors, are_unit, passage_fingerprint

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
_COLUMNS = ["fingerprint", "text_hash", "vector"]


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

    def missing_passages(self, model: "Embedder", texts: Sequence[str]) -> list[str]:
        """The passages whose vectors are not here, each once."""
        by_hash = {text_hash(text): text for text in texts}
        known = self._known(passage_fingerprint(model), [*by_hash], model.dimension)
        return [text for key, text in by_hash.items() if key not in known]

    def passage_hashes(self, model: "Embedder") -> list[bytes]:
        """The hashes of all passages whose vectors are here."""
        with self._forgiving(), closing(self._open()) as connection:
            key = passage_fingerprint(model)
            asked = "SELECT text_hash FROM vectors WHERE fingerprint = ?"
            return [text for (text,) in connection.execute(asked, (key,))]
        return []

    def keep_passages(self, model: "Embedder", vectors: dict[bytes, Vectors]) -> None:
        """Keep vectors that were made elsewhere: hash of the text -> (dimension,) float32."""
        self._keep(passage_fingerprint(model), vectors)

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
        if not texts:
            return np.empty((0, model.dimension), np.float32)
        hashes = [text_hash(text) for text in texts]
        known = self._known(key, hashes, model.dimension)
        missing = {h: t for h, t in zip(hashes, texts, strict=True) if h not in known}
        # Longest first, so that texts of one slab are alike in length.
        todo = sorted(missing, key=lambda h: -len(missing[h]))
        for start in range(0, len(todo), SLAB):
            slab = todo[start : start + SLAB]
            vectors = embed([missing[h] for h in slab])
            fresh = dict(zip(slab, vectors, strict=True))
            self._keep(key, fresh)
            known.update(fresh)
            progress("embed", min(start + SLAB, len(todo)), len(todo))
        return np.stack([known[h] for h in hashes])

    def _known(self, key: str, hashes: Sequence[bytes], dimension: int) -> dict[bytes, Vectors]:
        with self._forgiving(), closing(self._open()) as connection:
            return _read(connection, key, hashes, dimension)
        return {}

    def _keep(self, key: str, vectors: dict[bytes, Vectors]) -> None:
        with self._forgiving(), closing(self._open()) as connection:
            _write(connection, key, vectors)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Begin a damaged file anew, and do without one that can only be read."""
        try:
            yield
        except sqlite3.OperationalError as error:
            # Locked for a minute, or not ours to write.
            if disk_is_full(error):
                raise
        except sqlite3.DatabaseError:
            for file in self.path.parent.glob(f"{self.path.name}*"):
                file.unlink()

    def _open(self) -> sqlite3.Connection:
        """The database, made if need be.

        Raises:
            sqlite3.OperationalError: it can be neither read nor made.
            sqlite3.DatabaseError: it is damaged, or another program's.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except PermissionError as error:
            raise sqlite3.OperationalError(str(error)) from error
        connection = sqlite3.connect(self.path, timeout=60)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)
            columns = [row[1] for row in connection.execute("PRAGMA table_info(vectors)")]
            if columns != _COLUMNS:
                raise sqlite3.DatabaseError(f"{self.path} has other columns: {columns}")
        except BaseException:
            connection.close()
            raise
        return connection


def text_hash(text: str) -> bytes:
    """Under which the vector of a text is kept."""
    return hashlib.sha256(text.encode()).digest()


def _read(
    connection: sqlite3.Connection, fingerprint: str, hashes: Sequence[bytes], dimension: int
) -> dict[bytes, Vectors]:
    """The vectors that are known, (dimension,) float32 each, by the hash of their text.

    What has not this dimension, or not unit length, is none.
    """
    found: dict[bytes, Vectors] = {}
    for start in range(0, len(hashes), READ_BATCH):
        batch = hashes[start : start + READ_BATCH]
        marks = ",".join("?" * len(batch))
        rows = connection.execute(
            "SELECT text_hash, vector FROM vectors "  # noqa: S608
            f"WHERE fingerprint = ? AND text_hash IN ({marks})",
            (fingerprint, *batch),
        )
        for key, blob in rows:
            vector = _vector(blob, dimension)
            if vector is not None:
                found[key] = vector
    return found


def _vector(blob: object, dimension: int) -> Vectors | None:
    if not isinstance(blob, bytes) or len(blob) != dimension * np.dtype(np.float32).itemsize:
        return None
    vector = np.frombuffer(blob, dtype=np.float32)
    return vector if are_unit(vector[None]) else None


def _write(connection: sqlite3.Connection, fingerprint: str, vectors: dict[bytes, Vectors]) -> None:
    with connection:
        connection.executemany(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
            [(fingerprint, key, vector.tobytes()) for key, vector in vectors.items()],
        )
