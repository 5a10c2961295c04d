"""An index of passages that come with their questions: each kept whole, found by content."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import WHOLE_PASSAGES, PassageModel
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog
from rag_app.index.info import IndexInfo
from rag_app.index.names import LONGEST, short_model_name
from rag_app.index.store import VectorIndex
from rag_app.index.sync import sync_documents
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document

# Sixteen more characters say what it is an index of.
_LONGEST_NAME = LONGEST - 16


@dataclass(frozen=True)
class CorpusIndex:
    """The index of a corpus.

    Fields:
        made: it was made now, or completed; else it was there.
        cut: passages, of those that were embedded now, that are longer than the model reads.
    """

    index: VectorIndex
    made: bool
    cut: int = 0


def index_corpus(
    catalog: Catalog,
    documents: "Sequence[Document]",
    model: PassageModel,
    *,
    name: str = "corpus",
    cache: VectorCache,
    progress: Progress = silent,
) -> CorpusIndex:
    """Make an index of documents that are passages already, or find the one that was made.

    Each document becomes one chunk. An index of the same passages and the same model is found
    again whatever it is called; one that a killed run left half-made is completed. None goes into
    service.

    Arguments:
        documents: LlamaIndex documents, each with an id of its own.
        name: begins the index's name; a hash of the passages and the model's fingerprint follow.
    Raises:
        IndexLocked, IndexBroken: as their names say.
    """
    there = find_corpus(catalog, documents, model)
    made = there or f"{_start(name)}{_ending(documents, model)}"
    index = catalog.make(made, IndexInfo.of(model, WHOLE_PASSAGES))
    if index.count() == len(documents):
        return CorpusIndex(index, made=False)
    report = sync_documents(index, documents, roots=(), model=model, cache=cache, progress=progress)
    return CorpusIndex(index, made=True, cut=report.truncated_chunks)


def find_corpus(
    catalog: Catalog, documents: "Sequence[Document]", model: PassageModel
) -> str | None:
    """Name of the index that `index_corpus` made of these passages with this model, if it did."""
    ending = _ending(documents, model)
    return next((name for name in catalog.names() if name.endswith(ending)), None)


def _ending(documents: "Sequence[Document]", model: PassageModel) -> str:
    """How the names of indexes of these passages and this model end."""
    lines = sorted(f"{one.id_}\0{one.metadata.get('title', '')}\0{one.text}" for one in documents)
    content = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]
    return f"-{content}-{model.fingerprint[:6]}"


def _start(name: str) -> str:
    """A file's name as the beginning of an index's."""
    return short_model_name(name, _LONGEST_NAME) or "corpus"
