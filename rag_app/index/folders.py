"""Which folders below `<storage>/indexes` are indexes; without Chroma, which takes long to load."""

import re
from pathlib import Path

from rag_app.index.locks import HOLDER, INDEX_LOCK, STORE_LOCK, is_held

# What Chroma takes for a collection, and every file system for a folder.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,98}[a-zA-Z0-9]")


def index_folders(folder: Path) -> list[Path]:
    """The folders with a store, and those whose maker has come no further than its locks, by name.

    Hidden folders, and those that hold something else, are no indexes.
    """
    return sorted(path for path in folder.glob("*/") if NAME.fullmatch(path.name) and _begun(path))


def is_being_made(folder: Path) -> bool:
    """Whether another process, or another thread, holds the lock of an index."""
    return is_held(folder / INDEX_LOCK)


def _begun(folder: Path) -> bool:
    if (folder / "chroma").is_dir():
        return True
    return {path.name for path in folder.glob("*")} <= {HOLDER, INDEX_LOCK, STORE_LOCK}
