"""Chroma's clients of folders, with all that they are told fixed here: the one way to open one.

By itself Chroma (1.5) takes settings from the environment and from a `.env` in the current folder:
the address of a server instead of the folder, classes to import. It does so already when it is
imported, and fails on a file that is no UTF-8. Here it gets its defaults and what this module says.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import finalize

from pydantic import BaseModel
from pydantic_settings import BaseSettings


@contextmanager
def _plain_settings() -> Iterator[None]:
    """Settings that are made meanwhile look at nothing but their defaults."""
    init = BaseSettings.__init__
    BaseSettings.__init__ = BaseModel.__init__  # type: ignore[assignment]
    try:
        yield
    finally:
        BaseSettings.__init__ = init  # type: ignore[method-assign]


with _plain_settings():
    import chromadb
    from chromadb.config import Settings
    from chromadb.errors import ChromaError, InternalError, NotFoundError

__all__ = ["ChromaError", "InternalError", "NotFoundError", "fixed_settings", "open_store"]

DATABASE = "chroma.sqlite3"
_FAILED: Counter[Path] = Counter()


def fixed_settings(**values: Any) -> Any:
    """Chroma's settings: these values, its defaults, no telemetry.

    >>> fixed_settings(is_persistent=True).anonymized_telemetry
    False
    """
    settings = Settings.__new__(Settings)
    # Its own constructor would look around.
    BaseModel.__init__(settings, **values, anonymized_telemetry=False)
    return settings


def open_store(path: Path, number: int) -> Any:
    """A client that shares nothing with the client of the number before, nor with one that failed.

    Chroma keeps one open store for each spelling of a path, also of one that could not be opened.
    It writes to whatever it opens; of a store that may only be read it gets a copy.

    Arguments:
        path: the store's folder, made if need be.
    Raises:
        chromadb.errors.ChromaError: as Chroma says.
        OSError: the folder cannot be made, or not be read.
    """
    if path.is_dir() and not may_be_written(path):
        return _open_copy(path)
    path.mkdir(parents=True, exist_ok=True)
    spelling = str(path) + "/." * (number % 2 + 2 * _FAILED[path])
    try:
        return chromadb.PersistentClient(path=spelling, settings=fixed_settings())
    except ChromaError:
        _FAILED[path] += 1
        raise


def may_be_written(path: Path) -> bool:
    """Whether the system lets us write a store: not on a read-only disk, nor another user's."""
    files = (file for file in (path, path / DATABASE) if file.exists())
    return all(os.access(file, os.W_OK) for file in files)


def _open_copy(path: Path) -> Any:
    """A client of a copy of the database beside links to the vectors' files, which it only reads.

    The copy goes with the client.
    """
    copy = Path(tempfile.mkdtemp(prefix="rag_app-"))
    try:
        for file in path.iterdir():
            if file.name.startswith(DATABASE):
                shutil.copyfile(file, copy / file.name)
            else:
                (copy / file.name).symlink_to(file)
        client = chromadb.PersistentClient(path=str(copy), settings=fixed_settings())
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    finalize(client, shutil.rmtree, copy, ignore_errors=True)
    return client
