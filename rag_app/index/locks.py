"""Locks that are files in a folder: an index's own, and those of folders that may be gone."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rag_app.disk import write_whole
from rag_app.errors import IndexLocked, RagAppError
from rag_app.index.holder import Held, Holder

# Of an index's folder: held by who writes the index, and by who writes a batch or opens the store.
INDEX_LOCK, STORE_LOCK = "lock", "store.lock"
# Beside the lock: some systems let nobody read a file that is locked.
HOLDER = "holder.json"


@contextmanager
def index_lock(folder: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock of an index's folder, which is made if need be.

    Raises:
        IndexLocked: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def refusal(holder: Holder | None) -> IndexLocked:
        return IndexLocked(Held.index(folder.name).message(holder))

    with named_lock(folder / INDEX_LOCK, folder / HOLDER, refusal, wait_seconds=wait_seconds):
        yield


@contextmanager
def named_lock(
    path: Path,
    holder: Path,
    refusal: Callable[[Holder | None], RagAppError],
    *,
    wait_seconds: float = 0.0,
) -> Iterator[None]:
    """Hold a lock that is a file, with the name of its holder in another file beside it.

    Raises:
        RagAppError: `refusal` of the holder, as far as it is known: another process holds it.
    """
    lock = FileLock(path, timeout=wait_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise refusal(_read(holder)) from None
    try:
        # An index can be removed from a full disk.
        with suppress(OSError):
            write_whole(holder, Holder.this_process().to_json())
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(path: Path) -> Holder | None:
    """Who says to hold a lock; None where nobody does."""
    try:
        return Holder.from_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def locked(folder: Path, acquire: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Hold a lock that is a file in a folder; one that is gone or cannot be written has none.

    Arguments:
        acquire: takes the lock; it would make a folder that is gone anew.
    """
    with ExitStack() as held:
        if folder.is_dir():
            with suppress(OSError, NotImplementedError):
                held.enter_context(acquire())
        yield


def is_held(lock: Path) -> bool:
    """Whether somebody holds a lock that is a file; of one that may not be opened nobody can tell.

    One that is not there is not made.
    """
    if not lock.is_file():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
