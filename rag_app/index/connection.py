"""An open Chroma collection that notices what other processes write to it.

An embedded Chroma client goes on answering from what it read when it was opened; it finds deleted
chunks, misses new ones, and crashes where it opens files that another process is writing. So each
embedded index has two small files beside its store:

- `written` holds a token that changes before each write; whoever reads compares it first.
- `store.lock` is held while a batch is written, and while the store is opened.

A process that is killed in the middle of a batch has changed the token already and loses the lock,
so the next reader opens what was committed.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary, finalize

from filelock import FileLock

from rag_app.disk import write_whole
from rag_app.errors import IndexMissing
from rag_app.index.chroma import ChromaError, InternalError, NotFoundError, open_store
from rag_app.index.damage import store_error
from rag_app.index.locks import STORE_LOCK, index_lock, locked
from rag_app.index.project import PROJECT, ProjectServer
from rag_app.index.server_lock import ServerLock, server_lock
from rag_app.index.vector_files import damaged_file

STAMP = "written"
POLL_SECONDS = 0.005
# A batch on a server that takes longer was killed, or ends with another token.
LONGEST_BATCH_SECONDS = 10.0

T = TypeVar("T")


class Connection(Protocol):
    """The collection of one index, as it is now.

    Fields:
        generation: grows with every write that this process made or noticed; what was read
            under another generation may be out of date.
    """

    generation: int

    @property
    def token(self) -> str | None:
        """Names what was written last; None where only the store itself tells."""

    @property
    def collection(self) -> Any:
        """The Chroma collection."""

    def refresh(self) -> None:
        """Notice what other processes wrote.

        Raises:
            IndexMissing: the index was removed.
        """

    def ask(self, read: Callable[[Any], T], *, vectors: bool = False) -> T:
        """Read from the collection.

        Arguments:
            vectors: whether `read` searches or loads vectors.
        Raises:
            IndexMissing: the index was removed.
            IndexBroken: a file of the index is damaged.
        """

    def steady(self) -> AbstractContextManager[None]:
        """A context in which no other process writes, where that can be had."""

    def give_way(self) -> None:
        """Let other processes have their turn, where they wait for this one."""

    def exclusive(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock of those who write the index, remove it or make it.

        Arguments:
            wait_seconds: for another process to end.
        Raises:
            IndexLocked: another process holds it.
        """

    def batch(self) -> AbstractContextManager[Any]:
        """A context in which one batch is written; yields the collection.

        Raises:
            IndexLocked: another process has taken over the lock that this one held.
        """


class EmbeddedConnection:
    """A Chroma store in a folder of its own, `<folder>/chroma`; one object a folder and process.

    It is opened when it is first asked. `create` makes its collection.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.generation = 0
        self._guard = RLock()
        self._store_lock = FileLock(folder / STORE_LOCK)
        # Of two, the first may still answer another thread.
        self._clients: list[Any] = []
        finalize(self, _close, self._clients).atexit = False
        self._opened = 0
        self._collection: Any = None
        self._seen: str | None = None
        self._vectors_loaded = False

    @property
    def collection(self) -> Any:
        """The Chroma collection, opened if need be."""
        if self._collection is None:
            self.refresh()
        return self._collection

    @property
    def token(self) -> str | None:
        """The token that was on the store when it was last looked at; None if none was."""
        return self._seen or None

    def is_stale(self) -> bool:
        """Whether the store was written since it was opened, or never was opened."""
        return self._collection is None or self._read_stamp() != self._seen

    def refresh(self) -> None:
        """Open the store anew if another process has written to it.

        Raises:
            IndexMissing: its folder is gone.
            IndexBroken: a file of its vectors is damaged.
            chromadb.errors.ChromaError: it cannot be opened, or holds no collection of its name.
        """
        if not self.is_stale():
            return
        with self.steady():
            if not self.is_stale():
                return
            seen = self._read_stamp()
            if seen is None:
                self.close()
                raise _gone(self.name)
            if file := damaged_file(self.folder / "chroma"):
                raise store_error(self.folder, ValueError(f"{file.name} is damaged or missing"))
            # One that only made or listed collections has read no vectors yet.
            client = self.client(anew=self._collection is not None)
            self._collection = client.get_collection(self.name, embedding_function=None)
            self._seen = seen
            self.generation += 1

    def client(self, *, anew: bool = False) -> Any:
        """A client of the store, which is made if it is not there.

        Arguments:
            anew: a client that has read nothing yet.
        """
        # One that is open still answers from files that were deleted, and would write into them.
        deleted = bool(self._clients) and not self._database.is_file()
        if self._clients and not anew and not deleted:
            return self._clients[-1]
        with self.steady():
            if deleted:
                self.close()
            _close(self._clients, but=1)
            self._clients.append(open_store(self.folder.resolve() / "chroma", self._opened))
            self._opened += 1
            self._vectors_loaded = False
            return self._clients[-1]

    def ask(self, read: Callable[[Any], T], *, vectors: bool = False) -> T:
        """Read from the collection as it is now; once more, alone, if a write came in between.

        The first search of a client reads the files of the vector index, and must be alone.

        Raises:
            IndexMissing: the index was removed.
            IndexBroken: a file of it is damaged.
            StorageError: the disk is full, or refuses.
        """
        try:
            with self._closed_if_it_fails():
                return self._ask(read, vectors=vectors)
        except InternalError as error:
            # Other errors of Chroma's say that the question is wrong: a bug.
            raise store_error(self.folder, error) from error

    def _ask(self, read: Callable[[Any], T], *, vectors: bool) -> T:
        self.refresh()
        loads = vectors and not self._vectors_loaded
        try:
            with self.steady() if loads else nullcontext():
                found = read(self.collection)
            self._vectors_loaded |= loads
        except ChromaError:
            if not self.is_stale():
                raise
        else:
            return found
        with self.steady():
            self.refresh()
            return read(self.collection)

    def exclusive(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock, a file in the folder, which is made if need be."""
        return index_lock(self.folder, wait_seconds=wait_seconds)

    @contextmanager
    def batch(self) -> Iterator[Any]:
        """Write one batch: others neither write nor open the store meanwhile."""
        with self.steady():
            self.refresh()
            self.stamp()
            with self._closed_if_it_fails():
                yield self._collection

    def create(self, **options: Any) -> None:
        """Make the collection, unless it is there.

        Arguments:
            options: as Chroma's `create_collection` takes them.
        """
        with self._closed_if_it_fails():
            if self.name not in self.collection_names():
                self.client().create_collection(self.name, embedding_function=None, **options)
        self.stamp()

    @contextmanager
    def _closed_if_it_fails(self) -> Iterator[None]:
        """Close the store where Chroma fails, for it may keep its transaction open.

        It does so now and then where the disk is full; the next write, of any process, would wait
        for that 1,000 seconds.
        """
        try:
            yield
        except InternalError:
            with self.steady():
                self.close()
            raise

    def stamp(self) -> None:
        """Say that the store is about to be written, or has just been made."""
        token = uuid.uuid4().hex
        write_whole(self.folder / STAMP, token)
        self._seen = token
        self.generation += 1

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Hold the store's lock; a folder that cannot be written needs none."""
        lock = self._store_lock
        with self._guard, locked(self.folder, lambda: lock.acquire(poll_interval=POLL_SECONDS)):
            yield

    def give_way(self) -> None:
        """Wait for so long that whoever polls the store's lock gets it."""
        sleep(2 * POLL_SECONDS)

    def collection_names(self) -> list[str]:
        """Names of the collections in the store."""
        return [collection.name for collection in self.client().list_collections()]

    def remove(self) -> None:
        """Delete the store; who has it open elsewhere finds it gone."""
        with self.steady():
            self.close()
            for file in (STAMP, "chroma/chroma.sqlite3"):
                (self.folder / file).unlink(missing_ok=True)
            shutil.rmtree(self.folder / "chroma", ignore_errors=True)

    def close(self) -> None:
        """Let go of the store's files."""
        _close(self._clients)
        self._collection = self._seen = None

    def _read_stamp(self) -> str | None:
        """None without a store; empty where the store has never been written by this version."""
        try:
            return (self.folder / STAMP).read_text("utf-8")
        except FileNotFoundError:
            return "" if self._database.is_file() else None

    @property
    def _database(self) -> Path:
        return self.folder / "chroma" / "chroma.sqlite3"


class ServerConnection:
    """A collection on a Chroma server, whose readers see every write at once.

    What they keep of it goes by a token in its metadata, which changes before and after a write.
    """

    def __init__(self, server: ProjectServer, name: str) -> None:
        self.name = name
        self.generation = 0
        self._server = server
        self._collection: Any = None
        self._seen: object = None
        self._unsettled_until = 0.0
        self._lock: ServerLock | None = None

    @property
    def collection(self) -> Any:
        """The Chroma collection."""
        if self._collection is None:
            self.refresh()
        return self._collection

    @property
    def token(self) -> None:
        """None: a server's writers are anywhere, and may be in the middle of a batch."""
        return None

    def refresh(self) -> None:
        """Ask the server whether the collection was written, removed or made anew."""
        try:
            self._collection = self._server.get(self.name)
        except NotFoundError:
            raise _gone(self.name) from None
        stamp = (self._collection.metadata or {}).get(STAMP)
        seen = (self._collection.id, stamp)
        now = monotonic()
        if seen != self._seen:
            self._seen = seen
            writing = str(stamp).startswith(_WRITING)
            self._unsettled_until = now + LONGEST_BATCH_SECONDS if writing else 0.0
            self.generation += 1
        elif self._unsettled_until:
            # What was read since this token came may have changed after it was read.
            self.generation += 1
            if now > self._unsettled_until:
                self._unsettled_until = 0.0

    def ask(self, read: Callable[[Any], T], *, vectors: bool = False) -> T:
        """Read from the collection."""
        try:
            return read(self.collection)
        except NotFoundError:
            raise _gone(self.name) from None

    def steady(self) -> AbstractContextManager[None]:
        """Nothing: readers do not ask for the lock on the server."""
        return nullcontext()

    def give_way(self) -> None:
        """Nothing: nobody waits."""

    @contextmanager
    def exclusive(self, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Hold the lock, which is on the server."""
        with server_lock(self._server, self.name, wait_seconds=wait_seconds) as self._lock:
            try:
                yield
            finally:
                self._lock = None

    @contextmanager
    def batch(self) -> Iterator[Any]:
        """Write one batch."""
        if self._lock:
            self._lock.renew()
        self._stamp(_WRITING)
        try:
            yield self.collection
        finally:
            self._stamp("")

    def _stamp(self, prefix: str) -> None:
        stamp = prefix + uuid.uuid4().hex
        marks = {STAMP: stamp, PROJECT: self._server.project}
        self.collection.modify(metadata={**(self.collection.metadata or {}), **marks})
        self._seen = (self._collection.id, stamp)
        self.generation += 1


_WRITING = "writing "
_EMBEDDED: WeakValueDictionary[Path, EmbeddedConnection] = WeakValueDictionary()


def embedded(folder: Path) -> EmbeddedConnection:
    """The connection to a folder's store; the same one as long as somebody holds it."""
    key = folder.resolve()
    if (connection := _EMBEDDED.get(key)) is None:
        connection = _EMBEDDED[key] = EmbeddedConnection(folder)
    return connection


def _close(clients: list[Any], *, but: int = 0) -> None:
    """Close all clients but the last ones, and take them out of the list."""
    for _ in range(len(clients) - but):
        clients.pop(0).close()


def _gone(name: str) -> IndexMissing:
    return IndexMissing(
        f"index {name!r} was removed while it was open; `rag-app index list` shows the others, "
        "and /model NAME asks one of them"
    )
