"""What is made of an index's chunks and kept in its folder, made again when it is out of date."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from rag_app.disk import whole_folder
from rag_app.progress import Progress

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorIndex

T = TypeVar("T")

# What a folder that is damaged, half a folder, or another program's raises when it is read.
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError)


def kept_or_made(
    index: "VectorIndex",
    *,
    load: Callable[[], T | None],
    make: Callable[[], T],
    save: Callable[[T], None],
) -> T:
    """What is kept, or else what is made now and kept for the next time.

    Where it cannot be kept (a full or read-only disk) it is made again next time.

    Arguments:
        load: None where nothing is kept, or it is out of date.
        save: may raise OSError.
    Raises:
        IndexMissing: the index was removed meanwhile.
    """
    kept = load()
    if kept is not None:
        return kept
    made = make()
    # Of an index that was removed meanwhile no folder must stay.
    index.refresh()
    with contextlib.suppress(OSError):
        save(made)
    return made


def watched(index: "VectorIndex", step: str, progress: Progress) -> "Iterator[TextNode]":
    """Every chunk of an index; `step` is what progress is told of it."""
    total = index.count()
    for done, node in enumerate(index.nodes(), 1):
        yield node
        progress(step, done, total)


@contextlib.contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A folder to write, which takes the place of this one whole or not at all.

    Raises:
        OSError: the folder cannot be written, or another process is writing it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0)
    with lock, whole_folder(folder) as new:
        yield new
