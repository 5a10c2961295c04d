"""Which index is in service, and which were before it: one small file, switched atomically."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from rag_app.errors import IndexMissing, StorageError

KEPT_PREVIOUS = 20


@dataclass(frozen=True, slots=True)
class Service:
    """The name in service and the names before it, latest first."""

    active: str | None = None
    previous: tuple[str, ...] = ()


class ActivePointer:
    """`<storage>/active.json`."""

    def __init__(self, storage: Path) -> None:
        self.path = storage / "active.json"

    def current(self) -> str | None:
        """Name of the index in service, or None."""
        return self._read().active

    def use(self, name: str, *, instead_of: str | None = None) -> None:
        """Put an index into service; the one before it can be rolled back to.

        Arguments:
            instead_of: the index to roll back to, where that is not the one in service now.
        """
        state = self._read()
        if state.active == name:
            return
        before = dict.fromkeys(filter(None, (instead_of, state.active, *state.previous)))
        kept = tuple(old for old in before if old != name)[:KEPT_PREVIOUS]
        self._write(Service(name, kept))

    def rollback(self) -> str:
        """Put the index before this one back into service and return its name.

        Raises:
            IndexMissing: there was none before.
        """
        state = self._read()
        if not state.previous:
            raise IndexMissing(
                "there is no earlier index to roll back to; `rag-app index list` shows what there "
                "is, `rag-app index use NAME` picks one"
            )
        name, *older = state.previous
        self._write(Service(name, tuple(older)))
        return name

    def forget(self, name: str) -> None:
        """Take a removed index out of the record."""
        state = self._read()
        active = None if state.active == name else state.active
        self._write(Service(active, tuple(old for old in state.previous if old != name)))

    def _read(self) -> Service:
        if not self.path.is_file():
            return Service()
        try:
            state = json.loads(self.path.read_text("utf-8"))
            return Service(state["active"], tuple(state["previous"]))
        except (ValueError, KeyError, TypeError):
            raise StorageError(
                f"{self.path} is damaged; run `rag-app index use NAME` after deleting it "
                "(`rag-app index list` shows the names)"
            ) from None

    def _write(self, state: Service) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".partial-{os.getpid()}")
        partial.write_text(json.dumps(asdict(state), indent=2) + "\n", "utf-8")
        partial.replace(self.path)
