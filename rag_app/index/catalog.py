"""The indexes of one storage folder (or of one Chroma server): make, open, list, remove."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rag_app.errors import ConfigError, IndexBroken, IndexMissing
from rag_app.index.active import ActivePointer
from rag_app.index.info import DISTANCE, IndexInfo
from rag_app.index.names import resolve
from rag_app.index.store import VectorIndex

# More candidates than Chroma's defaults (100, 16, 10): its search misses near neighbours with them.
HNSW = {"space": DISTANCE, "ef_construction": 200, "max_neighbors": 32, "ef_search": 200}

# What Chroma takes for a collection, and every file system for a folder.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,98}[a-zA-Z0-9]")


class Catalog:
    """Each index is a Chroma folder of its own, `<storage>/indexes/<name>/`, or on a server."""

    def __init__(self, storage: Path, *, chroma_url: str | None = None) -> None:
        self.storage = storage
        self.folder = storage / "indexes"
        self.chroma_url = chroma_url
        self.active = ActivePointer(storage)
        self._clients: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Names of all indexes, sorted."""
        if self.chroma_url:
            return sorted(collection.name for collection in self._client("").list_collections())
        return sorted(
            path.parent.parent.name for path in self.folder.glob("*/chroma/chroma.sqlite3")
        )

    def open(self, name: str | None = None) -> VectorIndex:
        """Open an index by what `rag_app.index.names.resolve` takes, or the one in service.

        Raises:
            IndexMissing: there is none by that name, or none in service.
            IndexBroken: its store cannot be read.
        """
        name = name or self.active.current()
        if name is None:
            raise IndexMissing(
                f"nothing has been ingested into {self.storage} yet; "
                "run `rag-app ingest PATH` first"
            )
        return self._open(resolve(self, name))

    def make(self, name: str, info: IndexInfo) -> VectorIndex:
        """Open the index of this name, or make it.

        Raises:
            IndexMismatch: it is there, and made with another model.
            ConfigError: no index can have this name.
        """
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be an index's name; use 3 to 100 letters, digits, dots, dashes "
                "and underscores, with a letter or digit at both ends"
            )
        client = self._client(name)
        # A process killed while it made an index leaves a store without its collection.
        if name in [collection.name for collection in client.list_collections()]:
            index = self._open(name)
            index.info.check_fingerprint(info.model, info.fingerprint, index=name)
            return index
        collection = client.create_collection(
            name,
            embedding_function=None,
            configuration={"hnsw": HNSW},
            metadata={**info.to_metadata(), "made": datetime.now(tz=UTC).isoformat("T", "seconds")},
        )
        return VectorIndex(name, collection, info, self.folder / name)

    def find(self, info: IndexInfo) -> str | None:
        """Name of an index that was made just so, whatever it is called."""
        return next((name for name in self.names() if self.open(name).info == info), None)

    def remove(self, name: str) -> None:
        """Delete an index that is not in service.

        Raises:
            IndexMissing: there is none by that name.
            ConfigError: it is in service.
        """
        name = resolve(self, name)
        if name == self.active.current():
            raise ConfigError(
                f"index {name!r} is in service; run `rag-app index use OTHER` before removing it"
            )
        with self.open(name).writing():
            client = self._client(name)
            client.delete_collection(name)
            # Chroma keeps one open store per path, which must not outlive the folder.
            client.close()
            self._clients.pop("" if self.chroma_url else name)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self.active.forget(name)

    def _open(self, name: str) -> VectorIndex:
        from chromadb.errors import ChromaError

        try:
            collection = self._client(name).get_collection(name, embedding_function=None)
            info = IndexInfo.from_metadata(collection.metadata or {})
        except (ChromaError, KeyError, ValueError, OSError) as error:
            raise IndexBroken(
                f"index {name!r} in {self.folder} cannot be read ({error}); delete "
                f"{self.folder / name} and run `rag-app ingest PATH`: vectors come from the cache"
            ) from error
        return VectorIndex(name, collection, info, self.folder / name)

    def _client(self, name: str) -> Any:
        """The Chroma client of an index's folder, or of the server, opened once."""
        key = "" if self.chroma_url else name
        if key not in self._clients:
            self._clients[key] = self._connect(name)
        return self._clients[key]

    def _connect(self, name: str) -> Any:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        if not self.chroma_url:
            path = self.folder / name / "chroma"
            path.mkdir(parents=True, exist_ok=True)
            return chromadb.PersistentClient(path=str(path), settings=settings)
        url = urlsplit(self.chroma_url)
        try:
            return chromadb.HttpClient(
                host=url.hostname or "localhost",
                port=url.port or 8000,
                ssl=url.scheme == "https",
                settings=settings,
            )
        except ValueError as error:
            raise ConfigError(
                f"no Chroma server answers at {self.chroma_url} ({error}); start one with "
                "`chroma run`, or leave --chroma-url out"
            ) from error
