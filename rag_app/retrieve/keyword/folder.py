"""An index's keyword search kept beside it: `<index>/keyword/`, made again when it does not fit."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from rag_app.disk import UNREADABLE, whole_folder, write_whole
from rag_app.progress import Progress, silent
from rag_app.retrieve.keyword.analysis import Analysis
from rag_app.retrieve.keyword.bm25 import BM25_SETTINGS, KeywordIndex

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorIndex

FOLDER = "keyword"
_ABOUT = "about.json"
_UNREADABLE = (*UNREADABLE, AttributeError)


def open_keyword_index(index: "VectorIndex", *, progress: Progress = silent) -> KeywordIndex:
    """The keyword index of all chunks: from its folder, or made now and kept there.

    Where it cannot be kept (a full or read-only disk) it is made again next time.

    Raises:
        IndexMissing: the index was removed meanwhile.
    """
    folder = index.folder / FOLDER
    kept = load_keyword_index(folder, index.chunk_ids())
    if kept is not None:
        return kept
    made = KeywordIndex.of(_watched(index, progress))
    # Of an index that was removed meanwhile no folder must stay.
    index.refresh()
    with contextlib.suppress(OSError):
        save_keyword_index(made, folder)
    return made


def _watched(index: "VectorIndex", progress: Progress) -> "Iterator[TextNode]":
    total = index.count()
    for done, node in enumerate(index.nodes(), 1):
        yield node
        progress("keyword index", done, total)


def save_keyword_index(keyword: KeywordIndex, folder: Path) -> None:
    """Write a keyword index; the folder is replaced whole or not at all.

    Raises:
        OSError: the folder cannot be written, or another process is writing it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0)
    with lock, whole_folder(folder) as new:
        _write(keyword, new)


def _write(keyword: KeywordIndex, folder: Path) -> None:
    keyword.bm25.save(folder, show_progress=False)
    about = {
        "stamp": stamp(keyword.chunk_ids, keyword.analysis),
        "analysis": asdict(keyword.analysis),
        "chunk_ids": list(keyword.chunk_ids),
    }
    write_whole(folder / _ABOUT, json.dumps(about))


def load_keyword_index(folder: Path, chunk_ids: Iterable[str]) -> KeywordIndex | None:
    """Read a keyword index; None unless it is whole, of just these chunks, and made as now."""
    try:
        return _load(folder, chunk_ids)
    except _UNREADABLE:
        return None


def _load(folder: Path, chunk_ids: Iterable[str]) -> KeywordIndex | None:
    import bm25s  # type: ignore[import-untyped]

    about = json.loads((folder / _ABOUT).read_text("utf-8"))
    analysis = Analysis(**about["analysis"]).current()
    if not about["stamp"] == stamp(chunk_ids, analysis) == stamp(about["chunk_ids"], analysis):
        return None
    # Mapped, not read: a question touches few of the rows.
    bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False)
    if not _fits(bm25, len(about["chunk_ids"])):
        return None
    return KeywordIndex.restored(bm25, about["chunk_ids"], analysis)


def _fits(bm25: Any, size: int) -> bool:
    """Whether the parts are of one index, of so many passages."""
    scores, terms = bm25.scores, len(bm25.vocab_dict)
    postings = len(scores["data"])
    return bool(
        scores["num_docs"] == max(size, 1)
        and len(scores["indptr"]) == terms + 1
        and scores["indptr"][-1] == postings == len(scores["indices"])
    )


def stamp(chunk_ids: Iterable[str], analysis: Analysis) -> str:
    """What a keyword index depends on: chunks (their ids hash their text), analysis, settings."""
    import bm25s

    made = {"analysis": analysis.name, "bm25s": bm25s.__version__, **BM25_SETTINGS}
    parts = [json.dumps(made, sort_keys=True), *sorted(chunk_ids)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
