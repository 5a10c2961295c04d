"""Locks of folders that may be gone, or may only be read."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path


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
