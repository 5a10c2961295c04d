"""Which index is in service, and which were before it: kept where the indexes are."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from rag_app.disk import sweep_partials, write_whole
from rag_app.errors import IndexMissing, StorageError
from rag_app.index.holder import Held
from rag_app.index.locks import locked

if TYPE_CHECKING:
    from rag_app.index.project import ProjectServer

KEPT_PREVIOUS = 20
# A collection without chunks, whose metadata says what is in service.
COLLECTION = "rag_app-in-service"
_STATE = "rag_app_service"
LOCK = "active.lock"
# A change of what is in service takes milliseconds.
WAIT_SECONDS = 60.0
_IN_SERVICE = Held(
    "the record of which index is in service",
    "wait for it to end, then run the same command again",
)


@dataclass(frozen=True, slots=True)
class Service:
    """The name in service and the names before it, latest first."""

    active: str | None = None
    previous: tuple[str, ...] = ()


class ActivePointer(ABC):
    """The index in service; a switch is atomic, and the one before can be rolled back to.

    Processes that share it change it one at a time.
    """

    def current(self) -> str | None:
        """Name of the index in service, or None.

        Raises:
            StorageError: what is kept is damaged.
        """
        return self._read().active

    def kept(self) -> frozenset[str]:
        """Names of the index in service and of those that can be rolled back to."""
        state = self._read()
        return frozenset(filter(None, (state.active, *state.previous)))

    def use(self, name: str, *, instead_of: str | None = None) -> None:
        """Put an index into service; the one before it can be rolled back to.

        What is kept is written anew where it is damaged.

        Arguments:
            instead_of: the index to roll back to, where that is not the one in service now.
        """

        def change(state: Service) -> Service:
            if state.active == name:
                return state
            before = dict.fromkeys(filter(None, (instead_of, state.active, *state.previous)))
            return Service(name, tuple(old for old in before if old != name)[:KEPT_PREVIOUS])

        self._change(change, anew=True)

    def rollback(self) -> str:
        """Put the index before this one back into service and return its name.

        Raises:
            IndexMissing: there was none before.
        """
        return str(self._change(_rolled_back).active)

    def forget(self, name: str) -> None:
        """Take a removed index out of the record."""

        def change(state: Service) -> Service:
            active = None if state.active == name else state.active
            return Service(active, tuple(old for old in state.previous if old != name))

        self._change(change)

    def _change(self, change: Callable[[Service], Service], *, anew: bool = False) -> Service:
        """Replace what is kept by what `change` makes of it, while no other process does.

        Arguments:
            anew: what is damaged counts as nothing.
        """
        with self._alone():
            before = Service() if anew and self.damage() else self._read()
            after = change(before)
            if after != before:
                self._save(json.dumps(asdict(after), indent=2) + "\n")
        return after

    def damage(self) -> str | None:
        """What is wrong with what is kept, and what mends it; None if nothing is."""
        return None if _service(self._load()) else self._damage()

    def _damage(self) -> str:
        return (
            f"{self.place} is damaged: nothing says which index is in service; "
            "`rag-app index use NAME` writes it anew (`rag-app index list` shows the names)"
        )

    def _read(self) -> Service:
        if (state := _service(self._load())) is None:
            raise StorageError(self._damage())
        return state

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is kept, for messages."""

    @abstractmethod
    def _load(self) -> str | bytes | None:
        """What was saved last; None if nothing was."""

    @abstractmethod
    def _save(self, text: str) -> None:
        """Replace what was saved, all at once."""

    @abstractmethod
    def _alone(self) -> AbstractContextManager[object]:
        """A context in which no other process changes it."""


class FilePointer(ActivePointer):
    """`<storage>/active.json`."""

    def __init__(self, storage: Path) -> None:
        self.path = storage / "active.json"
        with suppress(OSError):
            sweep_partials(storage)

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def _load(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def _save(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, text)

    def _alone(self) -> AbstractContextManager[object]:
        storage = self.path.parent
        return locked(storage, lambda: FileLock(storage / LOCK))


class ServerPointer(ActivePointer):
    """Metadata of a collection on the Chroma server, so that all clients of a project agree."""

    def __init__(self, server: "ProjectServer") -> None:
        self._server = server

    @property
    def place(self) -> str:
        """The collection."""
        return f"the collection {self._server.project}.{COLLECTION} on {self._server.server}"

    def _load(self) -> str | None:
        from rag_app.index.chroma import NotFoundError

        try:
            kept = self._server.get(COLLECTION)
        except NotFoundError:
            return self._load_former()
        return _state_of(kept)

    def _load_former(self) -> str | None:
        """What was in service before there were projects, if this storage made it."""
        from rag_app.index.chroma import NotFoundError

        try:
            kept = self._server.client.get_collection(COLLECTION, embedding_function=None)
        except NotFoundError:
            return None
        text = _state_of(kept)
        with suppress(ValueError, TypeError, KeyError):
            name = json.loads(text or "")["active"]
            return text if name is not None and self._server.is_former(name) else None
        return None

    def _save(self, text: str) -> None:
        kept = self._server.create(COLLECTION, metadata={})
        kept.modify(metadata={**kept.metadata, _STATE: text})

    def _alone(self) -> AbstractContextManager[object]:
        from rag_app.index.server_lock import server_lock

        return server_lock(self._server, COLLECTION, wait_seconds=WAIT_SECONDS, held=_IN_SERVICE)


def _service(text: str | bytes | None) -> Service | None:
    """What was saved; None where it is damaged."""
    if text is None:
        return Service()
    try:
        state = json.loads(text)
        active, previous = state["active"], tuple(state["previous"])
    except (ValueError, KeyError, TypeError):
        return None
    names = (*previous, *([] if active is None else [active]))
    return Service(active, previous) if all(isinstance(name, str) for name in names) else None


def _rolled_back(state: Service) -> Service:
    if not state.previous:
        raise IndexMissing(
            "there is no earlier index to roll back to; `rag-app index list` shows what there "
            "is, `rag-app index use NAME` picks one"
        )
    name, *older = state.previous
    return Service(name, tuple(older))


def _state_of(kept: Any) -> str | None:
    state = (kept.metadata or {}).get(_STATE)
    return None if state is None else str(state)
