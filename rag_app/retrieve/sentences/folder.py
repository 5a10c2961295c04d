"""An index's sentence vectors kept beside it, in `<index>/sentences/`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.progress import Progress, silent
from rag_app.retrieve.rows_folder import RowsFolder
from rag_app.retrieve.sentences.vectors import SLAB, SentenceVectors, sentence_rows
from rag_app.vectors import passage_fingerprint

if TYPE_CHECKING:
    from rag_app.index import VectorCache, VectorIndex
    from rag_app.vectors import Embedder

FOLDER = "sentences"


def open_sentence_vectors(
    index: "VectorIndex",
    model: "Embedder",
    cache: "VectorCache | None",
    *,
    progress: Progress = silent,
) -> SentenceVectors:
    """The sentence vectors of all chunks: see `RowsFolder.open`, which says what it raises."""
    kept = sentence_folder(index.folder / FOLDER, model, cache, splitter=index.info.sentences)
    return kept.open(index, progress=progress)


def sentence_folder(
    folder: Path, model: "Embedder", cache: "VectorCache | None", *, splitter: str
) -> RowsFolder[SentenceVectors]:
    """Where sentence vectors are kept, those of one model and one way to find sentences."""
    embed = partial(cache.embed_passages, model) if cache else model.embed_passages
    return RowsFolder(
        folder,
        SentenceVectors,
        stamp=f"{passage_fingerprint(model)} {splitter}",
        rows_of=partial(sentence_rows, embed=embed, splitter=splitter),
        slab=SLAB,
        step="sentence vectors",
    )
