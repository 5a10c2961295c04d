"""The indexes of one storage folder (or of one Chroma server): make, open, list, remove."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_app.errors import ConfigError, IndexBroken, IndexMissing, RagAppError
from rag_app.index.active import ActivePointer, FilePointer, ServerPointer
from rag_app.index.chroma import ChromaError
from rag_app.index.connection import (
    STAMP,
    Connection,
    EmbeddedConnection,
    ServerConnection,
    embedded,
)
from rag_app.index.damage import store_error
from rag_app.index.folders import NAME, index_folders, is_being_made
from rag_app.index.info import DISTANCE, IndexInfo
from rag_app.index.names import TUNED, meant
from rag_app.index.project import ProjectServer, default_project
from rag_app.index.server import ChromaServer
from rag_app.index.store import VectorIndex

# More candidates than Chroma's defaults (100, 16, 10): its search misses near neighbours with them.
HNSW = {"space": DISTANCE, "ef_construction": 200, "max_neighbors": 32, "ef_search": 200}


class State(Enum):
    """Of an index: a run that is killed while it makes one leaves it unfinished."""

    READY = "ready"
    UNFINISHED = "unfinished"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Listed:
    """An index as `index list` shows it.

    Fields:
        index: None unless it is ready.
        mend: a sentence that says how to, empty where it is ready.
    """

    name: str
    state: State
    index: VectorIndex | None
    mend: str


class Catalog:
    """Each index is a Chroma folder of its own, `<storage>/indexes/<name>/`, or on a server."""

    def __init__(
        self,
        storage: Path,
        *,
        chroma_url: "str | ChromaServer | None" = None,
        project: str | None = None,
    ) -> None:
        """Nothing is opened or asked yet.

        Arguments:
            chroma_url: the server that has the indexes instead.
            project: whose indexes on that server, those of the storage's own project unless named.
        """
        self.storage = storage
        self.folder = storage / "indexes"
        self.server: ProjectServer | None = None
        if chroma_url is not None:
            server = ChromaServer(chroma_url) if isinstance(chroma_url, str) else chroma_url
            self.server = ProjectServer(
                server, project or default_project(storage), former=self.folder
            )
        # Held, so that each store is opened once.
        self._connections: dict[str, Connection] = {}

    @cached_property
    def active(self) -> ActivePointer:
        """Which index is in service; kept where the indexes are."""
        if self.server:
            return ServerPointer(self.server)
        return FilePointer(self.storage)

    def names(self) -> list[str]:
        """Names of all indexes that were made to the end, sorted."""
        return [name for name, state in self._states() if state is not State.UNFINISHED]

    def listed(self) -> list[Listed]:
        """All indexes by name, those among them that a killed run left, or that are broken.

        One that is being made is not yet there.
        """
        return [
            self._listed(name, state)
            for name, state in self._states()
            if state is not State.UNFINISHED or not is_being_made(self.folder / name)
        ]

    def indexes(self) -> Iterator[VectorIndex]:
        """Every index that can be opened, by name."""
        for name, state in self._states():
            if index := self._listed(name, state).index:
                yield index

    def in_service(self) -> str | None:
        """Name of the index in service; None where that was removed or never finished."""
        name = self.active.current()
        return name if name in self.names() else None

    def put_into_service(self, name: str, *, instead_of: str | None = None) -> None:
        """Switch to an index; the one in service before can be rolled back to, if it is there.

        Arguments:
            instead_of: the index to roll back to, where that is not the one in service now.
        """
        before = self._readable_active()
        if before is not None and before != name and before not in self.names():
            self.active.forget(before)
        self.active.use(name, instead_of=instead_of)

    def open(self, name: str | None = None) -> VectorIndex:
        """Open an index by its name, a beginning of it, base or tuned, or the one in service.

        Raises:
            ConfigError: the name is empty.
            IndexMissing: there is none by that name, or not yet, or none in service.
            IndexBroken: its store cannot be read, or was never finished.
        """
        if name is None:
            name = self._active()
        check_not_empty(name)
        if dict(self._states()).get(name) is State.UNFINISHED:
            if is_being_made(self.folder / name):
                raise IndexMissing(
                    f"index {name!r} is not there yet: another process is making it; wait for it"
                )
            raise IndexBroken(self._mend_unfinished(name))
        return self._open(self._resolve(name))

    def make(self, name: str, info: IndexInfo) -> VectorIndex:
        """Open the index of this name, or make it, or complete it.

        Raises:
            IndexMismatch: it is there, and made with another model.
            IndexLocked: another process is making it.
            ConfigError: no index can have this name.
        """
        check_not_empty(name)
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be an index's name; use 3 to 100 letters, digits, dots, dashes "
                "and underscores, with a letter or digit at both ends"
            )
        if name not in self.names():
            # A folder of its name would claim what was made there before there were projects.
            with nullcontext() if self.server else self._connection(name).exclusive():
                self._create(name, info)
        index = self._open(name)
        index.info.check_fingerprint(info.model, info.fingerprint, index=name)
        return index

    def find(self, info: IndexInfo) -> str | None:
        """Name of an index that was made just so, whatever it is called."""
        return next((index.name for index in self.indexes() if index.info == info), None)

    def remove(self, name: str) -> str:
        """Delete an index that is not in service, finished or not; returns its whole name.

        One in service that cannot be opened answers nothing, and goes too.

        Raises:
            IndexMissing: there is none by that name.
            IndexLocked: another process is writing it.
            ConfigError: it is in service, or the name is empty.
        """
        check_not_empty(name)
        if name not in dict(self._states()):
            name = self._resolve(name)
        if name == self.in_service() and self._listed(name, State.READY).index is not None:
            raise ConfigError(
                f"index {name!r} is in service; run `rag-app index use OTHER` before removing it"
            )
        with self._connection(name).exclusive():
            if self.server:
                self.server.delete(name)
            else:
                embedded(self.folder / name).remove()
            self._connections.pop(name, None)
            # Beside an index on a server there may be one of its name in the storage.
            if not (self.folder / name / "chroma").exists():
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self.active.forget(name)
        return name

    def _resolve(self, text: str) -> str:
        """The one index that is meant.

        Raises:
            IndexMissing: none is meant, or more than one.
        """
        names = self.names()
        active = self._readable_active()
        found = meant(text, names, lambda: {one.name: one.info for one in self.indexes()}, active)
        if len(found) == 1:
            return found[0]
        if found:
            raise IndexMissing(
                f"{text!r} could be any of the indexes {', '.join(found)}; write more of the name"
            )
        known = ", ".join(names) or "none"
        if text == TUNED:
            raise IndexMissing(
                f"no index {self.place} is tuned (known: {known}); `rag-app finetune` makes one"
            )
        raise IndexMissing(
            f"there is no index {text!r} {self.place} (known: {known}); "
            "run `rag-app ingest PATH`, or pick one with `rag-app index use NAME`"
        )

    def _listed(self, name: str, state: State) -> Listed:
        if state is State.UNFINISHED:
            return Listed(name, state, None, self._mend_unfinished(name))
        try:
            return Listed(name, State.READY, self._open(name), "")
        except (IndexBroken, IndexMissing) as error:
            return Listed(name, State.BROKEN, None, str(error))

    def _readable_active(self) -> str | None:
        """Name of the index in service; None also where that cannot be read any more."""
        return None if self.active.damage() else self.active.current()

    def _active(self) -> str:
        name = self.active.current()
        if name is not None:
            return name
        if known := self.names():
            raise IndexMissing(
                f"no index is in service {self.place} (known: {', '.join(known)}); "
                "pick one with `rag-app index use NAME`"
            )
        raise IndexMissing(
            f"nothing has been ingested into {self.storage} yet; run `rag-app ingest PATH` first"
        )

    @property
    def place(self) -> str:
        """Where the indexes are, for messages."""
        if self.server:
            return f"on {self.server.server} (project {self.server.project})"
        return f"in {self.storage}"

    def _mend_unfinished(self, name: str) -> str:
        return (
            f"index {name!r} is unfinished: the run that began it was stopped; "
            f"`rag-app ingest --index {name} PATH` completes it, "
            f"`rag-app index remove {name}` removes it"
        )

    def _states(self) -> list[tuple[str, State]]:
        """Names and states of what is ours, by name; nothing is opened that is known otherwise."""
        if self.server:
            return [(name, State.READY) for name in self.server.indexes()]
        names = [path.name for path in index_folders(self.folder)]
        return [(name, self._state(name)) for name in names]

    def _state(self, name: str) -> State:
        folder = self.folder / name
        if (folder / STAMP).is_file():
            return State.READY
        if not (folder / "chroma" / "chroma.sqlite3").is_file():
            return State.UNFINISHED
        # An index of an earlier version, or one without its collection.
        try:
            return State.READY if self._embedded(name).collection_names() else State.UNFINISHED
        except ChromaError:
            return State.BROKEN

    def _create(self, name: str, info: IndexInfo) -> None:
        options: dict[str, Any] = {
            "configuration": {"hnsw": HNSW},
            "metadata": {
                **info.to_metadata(),
                "made": datetime.now(tz=UTC).isoformat("T", "seconds"),
            },
        }
        if self.server:
            self.server.create(name, **options)
        else:
            self._embedded(name).create(**options)

    def _open(self, name: str) -> VectorIndex:
        connection = self._connection(name)
        try:
            info = IndexInfo.from_metadata(connection.collection.metadata or {})
        except (ChromaError, KeyError, ValueError, OSError) as error:
            raise self._unopened(name, error) from error
        return VectorIndex(name, connection, info, self.folder / name)

    def _unopened(self, name: str, error: Exception) -> RagAppError:
        """What is wrong with an index that cannot be opened."""
        if self.server:
            return IndexBroken(
                f"index {name!r} {self.place} cannot be read ({error}); look at the server"
            )
        return store_error(self.folder / name, error)

    def _connection(self, name: str) -> Connection:
        if self.server is None:
            return self._embedded(name)
        if name not in self._connections:
            self._connections[name] = ServerConnection(self.server, name)
        return self._connections[name]

    def _embedded(self, name: str) -> EmbeddedConnection:
        connection = self._connections[name] = embedded(self.folder / name)
        return connection


def check_not_empty(name: str) -> None:
    """Refuse the empty name.

    Raises:
        ConfigError: the name is empty.
    """
    if not name.strip():
        raise ConfigError(
            "the name of the index is empty; leave --index out for the index in service, or name "
            "one that `rag-app index list` shows"
        )
