"""Locks of folders that may be gone, or may only be read."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# Of an index's folder: held by who writes the index, and by who writes a batch or opens the store.
INDEX_LOCK, STORE_LOCK = "lock", "store.lock"


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
