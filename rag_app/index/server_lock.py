"""The lock of an index on a Chroma server: of all machines one process writes at a time.

It is a collection without chunks: of two that make a collection of one name the server refuses one.
Its metadata says who holds it, and has a mark that the holder renews every few seconds. Whoever
waits and sees one mark for `EXPIRES_SECONDS` by its own clock takes the lock over, so that the
clocks of the machines may differ. A lock is taken away by its id, never by its name: who comes late
does not take it from the next.

What remains possible: a holder that stands still for longer than that (its machine sleeps, or the
network is gone) between its look at the lock, which is before each batch, and the end of that batch
writes this one batch beside the process that took over. The next ingest puts that right.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import Any

from rag_app.errors import IndexLocked, ServerError
from rag_app.index.chroma import ChromaError, NotFoundError
from rag_app.index.holder import Held, Holder
from rag_app.index.project import ProjectServer

RENEW_SECONDS = 2.0
EXPIRES_SECONDS = 30.0
POLL_SECONDS = 0.2
# Of the collection's name: no index is called so.
PREFIX = "rag_app-lock."
_MARK, _HOLDER = "mark", "holder"


class ServerLock:
    """The lock of one index, while this process holds it.

    Arguments:
        name: of the index, or of what else is kept on the server.
        held: what messages say of that; unless given, that it is an index.
    """

    def __init__(self, server: ProjectServer, name: str, *, held: Held | None = None) -> None:
        self._server = server
        self._name = name
        self._held = held or Held.index(name)
        self._collection: Any = None
        self._released = Event()
        # The collection is renewed by a thread, and before each batch.
        self._guard = Lock()

    def acquire(self, *, wait_seconds: float = 0.0) -> None:
        """Take the lock, and go on renewing it until it is released.

        Raises:
            IndexLocked: another process holds it, and was seen to live after `wait_seconds`.
        """
        seen: object = None
        seen_at = monotonic()
        deadline = seen_at + wait_seconds
        while not self._take():
            if (found := self._look()) is None:
                # It was given back meanwhile.
                continue
            mark, now = (found.id, found.metadata.get(_MARK)), monotonic()
            if mark != seen:
                if seen is not None and now >= deadline:
                    raise IndexLocked(self._held.message(_holder_of(found)))
                seen, seen_at = mark, now
            elif now - seen_at > EXPIRES_SECONDS:
                self._clear(found)
                continue
            sleep(POLL_SECONDS)
        Thread(target=self._keep_renewing, daemon=True).start()

    def renew(self) -> None:
        """Say that the holder lives.

        Raises:
            IndexLocked: another process has taken the lock over.
        """
        with self._guard:
            metadata = {**self._collection.metadata, _MARK: uuid.uuid4().hex}
            try:
                self._collection.modify(metadata=metadata)
            except NotFoundError:
                raise IndexLocked(
                    f"{self._held.what} was taken over by another process, for this one was not "
                    f"heard of for {EXPIRES_SECONDS:g} s; run the same command again when "
                    "that one has ended"
                ) from None

    def release(self) -> None:
        """Give the lock back; where the server is away, it expires."""
        self._released.set()
        with self._guard, suppress(ServerError, ChromaError):
            self._clear(self._collection)

    def _take(self) -> bool:
        metadata = {_MARK: uuid.uuid4().hex, _HOLDER: Holder.this_process().to_json()}
        made = self._server.create_new(PREFIX + self._name, metadata=metadata)
        if made is None and (found := self._look()) is not None:
            # A request whose answer was lost is sent again, and then refused.
            made = found if found.metadata.get(_MARK) == metadata[_MARK] else None
        self._collection = made
        return made is not None

    def _look(self) -> Any:
        """The collection; None if nobody holds the lock."""
        try:
            return self._server.get(PREFIX + self._name)
        except NotFoundError:
            return None

    def _clear(self, collection: Any) -> None:
        aside = f"{collection.name}.{uuid.uuid4().hex}"
        # Renamed by its id; a collection can only be deleted by its name.
        with suppress(NotFoundError):
            collection.modify(name=aside)
            self._server.client.delete_collection(aside)

    def _keep_renewing(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            try:
                self.renew()
            except IndexLocked:
                # The next batch says so.
                return
            except (ServerError, ChromaError):
                # It may be back the next time.
                continue


@contextmanager
def server_lock(
    server: ProjectServer, name: str, *, wait_seconds: float = 0.0, held: Held | None = None
) -> Iterator[ServerLock]:
    """Hold the lock of an index on a server.

    Arguments:
        held: what messages say of what is no index.
    Raises:
        IndexLocked: another process holds it.
        ServerError: the server is away.
    """
    lock = ServerLock(server, name, held=held)
    lock.acquire(wait_seconds=wait_seconds)
    try:
        yield lock
    finally:
        lock.release()


def _holder_of(collection: Any) -> Holder | None:
    return Holder.from_json(str(collection.metadata.get(_HOLDER)))
