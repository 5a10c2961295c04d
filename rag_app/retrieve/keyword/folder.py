"""An index's keyword search kept beside it: `<index>/keyword/`, made anew when it does not fit."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from filelock import FileLock

from rag_app.disk import UNREADABLE, whole_folder, write_whole
from rag_app.progress import Progress, silent
from rag_app.retrieve.keyword.analysis import Analysis
from rag_app.retrieve.keyword.bm25 import BM25_SETTINGS, KeywordIndex
from rag_app.retrieve.keyword.terms import Chunk, ChunkTerms

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorIndex

FOLDER = "keyword"
_ABOUT = "about.json"
_TERMS = "terms.npy"
_UNREADABLE = (*UNREADABLE, AttributeError)


class _Kept(NamedTuple):
    """What a folder holds: the index, and what it was made of."""

    keyword: KeywordIndex
    terms: ChunkTerms


def open_keyword_index(index: "VectorIndex", *, progress: Progress = silent) -> KeywordIndex:
    """The keyword index of all chunks: from its folder, or made now and kept there.

    Where documents changed, only the new chunks are read and taken apart. Where it cannot be kept
    (a full or read-only disk) it is made again next time.

    Raises:
        IndexMissing: the index was removed meanwhile.
    """
    folder = index.folder / FOLDER
    kept, there = _read(folder), set(index.chunk_ids())
    if kept is not None and set(kept.keyword.chunk_ids) == there:
        return kept.keyword
    terms = _changed(index, kept.terms, there, progress) if kept is not None else None
    if terms is None:
        terms = ChunkTerms.of(_watched(index.nodes(), progress, len(there)))
    # Of an index that was removed meanwhile no folder must stay.
    index.refresh()
    keyword = KeywordIndex.of_terms(terms)
    with contextlib.suppress(OSError):
        save_keyword_index(keyword, terms, folder)
    return keyword


def _changed(
    index: "VectorIndex", kept: ChunkTerms, there: set[str], progress: Progress
) -> ChunkTerms | None:
    known = set(kept.chunk_ids)
    new = sorted(there - known)
    return kept.changed(known - there, _watched(index.nodes(new), progress, len(new)))


def _watched(nodes: "Iterable[TextNode]", progress: Progress, total: int) -> "Iterator[TextNode]":
    for done, node in enumerate(nodes, 1):
        yield node
        progress("keyword index", done, total)


def save_keyword_index(keyword: KeywordIndex, terms: ChunkTerms, folder: Path) -> None:
    """Write a keyword index and what it was made of; the folder is replaced whole or not at all.

    Raises:
        OSError: the folder cannot be written, or another process is writing it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0)
    with lock, whole_folder(folder) as new:
        _write(keyword, terms, new)


def _write(keyword: KeywordIndex, terms: ChunkTerms, folder: Path) -> None:
    keyword.bm25.save(folder, show_progress=False)
    np.save(folder / _TERMS, terms.numbers)
    about = {
        "made": _made(terms.analysis),
        "analysis": asdict(terms.analysis),
        "chunks": terms.chunks,
        "counts": terms.counts.tolist(),
    }
    write_whole(folder / _ABOUT, json.dumps(about))


def load_keyword_index(folder: Path, chunk_ids: Iterable[str]) -> KeywordIndex | None:
    """Read a keyword index; None unless it is whole, of just these chunks, and made as now."""
    kept = _read(folder)
    return kept.keyword if kept and set(kept.keyword.chunk_ids) == set(chunk_ids) else None


def _read(folder: Path) -> _Kept | None:
    """What a folder holds, of whichever chunks; None unless it is whole, and made as now."""
    try:
        return _load(folder)
    except _UNREADABLE:
        return None


def _load(folder: Path) -> _Kept | None:
    import bm25s  # type: ignore[import-untyped]

    about = json.loads((folder / _ABOUT).read_text("utf-8"))
    analysis = Analysis(**about["analysis"]).current()
    if about["made"] != _made(analysis):
        return None
    # Mapped, not read: a question touches few of the rows.
    bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False)
    chunks = [Chunk(*chunk) for chunk in about["chunks"]]
    counts = np.array(about["counts"], np.int64)
    numbers = np.load(folder / _TERMS, mmap_mode="r")
    terms = ChunkTerms(analysis, chunks, counts, numbers, bm25.vocab_dict)
    if not _fits(bm25, terms):
        return None
    return _Kept(KeywordIndex(bm25, terms.chunk_ids, analysis), terms)


def _fits(bm25: Any, terms: ChunkTerms) -> bool:
    """Whether the parts are of one index."""
    scores, vocabulary = bm25.scores, len(bm25.vocab_dict)
    postings = len(scores["data"])
    return bool(
        scores["num_docs"] == max(len(terms.chunks), 1)
        and len(scores["indptr"]) == vocabulary + 1
        and scores["indptr"][-1] == postings == len(scores["indices"])
        and len(terms.counts) == len(terms.chunks)
        and terms.counts.sum() == len(terms.numbers)
    )


def _made(analysis: Analysis) -> dict[str, Any]:
    """What a keyword index depends on, besides its chunks' texts, which their ids hash."""
    import bm25s

    return {"analysis": analysis.name, "bm25s": bm25s.__version__, **BM25_SETTINGS}
