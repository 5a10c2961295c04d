"""What it will take to write documents into an index, from a few of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import PassageModel, SentenceChunker, passage_text
from rag_app.duration import ITEMS, measured_pace, spread

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.index.cache import VectorCache

# Documents that are cut to see how many chunks they make.
CUT = 16
# Of fewer chunks than these the measuring would take too large a part.
FEWEST_CHUNKS = 64


@dataclass(frozen=True)
class Workload:
    """Documents that are to be written, about how many chunks they make, and about how long."""

    documents: int
    chunks: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.documents} documents, about {self.chunks} chunks"


def foresee(
    documents: "Sequence[Document]",
    chunker: SentenceChunker,
    model: PassageModel,
    cache: "VectorCache",
) -> Workload | None:
    """Cut and embed a few; None where there are too few chunks to be worth it.

    What is embedded for it is not kept, so that no vector depends on how fast the machine is.
    """
    some, share = sample(documents)
    started = time.perf_counter()
    texts = [passage_text(node) for node in chunker.get_nodes_from_documents(some)]
    seconds = time.perf_counter() - started
    chunks = round(len(texts) * share)
    if chunks < FEWEST_CHUNKS:
        return None
    seconds += embedding_seconds(texts, model, cache)
    return Workload(len(documents), chunks, seconds * share)


def embedding_seconds(texts: Sequence[str], model: PassageModel, cache: "VectorCache") -> float:
    """About how long it takes to embed those passages that are not in the cache."""
    missing = cache.missing_passages(model, texts)
    pace = measured_pace(model.embed_passages, spread(missing, ITEMS), len)
    return sum(map(len, missing)) / pace if pace else 0.0


def sample(documents: "Sequence[Document]") -> "tuple[list[Document], float]":
    """A few documents, and how many times their characters all of them have."""
    some = spread(documents, CUT)
    return some, _characters(documents) / max(1, _characters(some))


def _characters(documents: "Sequence[Document]") -> int:
    return sum(len(document.text) for document in documents)
