"""An index's sentence vectors kept beside it: `<index>/sentences/`, made again when out of date."""

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag_app.disk import write_whole
from rag_app.progress import Progress, silent
from rag_app.retrieve.beside_index import UNREADABLE, kept_or_made, replaced_folder, watched
from rag_app.retrieve.sentences.vectors import SentenceVectors
from rag_app.vectors import passage_fingerprint

if TYPE_CHECKING:
    from rag_app.index import VectorCache, VectorIndex
    from rag_app.vectors import Embedder

FOLDER = "sentences"
_ABOUT = "about.json"
_ARRAYS = ("starts", "rows", "scales")


def open_sentence_vectors(
    index: "VectorIndex",
    model: "Embedder",
    cache: "VectorCache | None",
    *,
    progress: Progress = silent,
) -> SentenceVectors:
    """The sentence vectors of all chunks: from their folder, or made now and kept there.

    Where they cannot be kept (a full or read-only disk) they are made again next time, of the
    vectors in the cache.

    Raises:
        IndexMissing: the index was removed meanwhile.
    """
    folder = index.folder / FOLDER
    splitter = index.info.sentences
    embed = partial(cache.embed_passages, model) if cache else model.embed_passages

    def make() -> SentenceVectors:
        nodes = watched(index, "sentence vectors", progress)
        return SentenceVectors.of(nodes, embed, splitter=splitter)

    def save(made: SentenceVectors) -> None:
        save_sentence_vectors(made, folder, stamp(made.chunk_ids, model, splitter))

    return kept_or_made(
        index,
        load=lambda: load_sentence_vectors(folder, stamp(index.chunk_ids(), model, splitter)),
        make=make,
        save=save,
    )


def save_sentence_vectors(vectors: SentenceVectors, folder: Path, stamp: str) -> None:
    """Write sentence vectors; the folder is replaced whole or not at all.

    Raises:
        OSError: the folder cannot be written, or another process is writing it.
    """
    with replaced_folder(folder) as new:
        new.mkdir()
        for name in _ARRAYS:
            np.save(new / f"{name}.npy", getattr(vectors, name))
        about = {"stamp": stamp, "chunk_ids": list(vectors.chunk_ids)}
        write_whole(new / _ABOUT, json.dumps(about))


def load_sentence_vectors(folder: Path, stamp: str) -> SentenceVectors | None:
    """Read sentence vectors; None unless they are whole and have this stamp."""
    try:
        return _load(folder, stamp)
    except UNREADABLE:
        return None


def _load(folder: Path, stamp: str) -> SentenceVectors | None:
    about = json.loads((folder / _ABOUT).read_text("utf-8"))
    if about["stamp"] != stamp:
        return None
    # Mapped, not read: a question touches few of the rows.
    starts, rows, scales = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
    whole = len(about["chunk_ids"]) + 1 == len(starts) and starts[-1] == len(rows) == len(scales)
    return SentenceVectors(about["chunk_ids"], starts, rows, scales) if whole else None


def stamp(chunk_ids: Iterable[str], model: "Embedder", splitter: str) -> str:
    """What sentence vectors depend on: chunks (their ids hash their text), model, splitter."""
    parts = [passage_fingerprint(model), splitter, *sorted(chunk_ids)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
