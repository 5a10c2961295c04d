"""What a sweep will take before it begins: indexes to make, sentences and tokens to embed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import SentenceChunker
from rag_app.index import embedding_seconds, foresee
from rag_app.index.workload import FEWEST_CHUNKS, sample
from rag_app.retrieve.sentences.vectors import sentence_texts
from rag_app.vectors import token_embedder

if TYPE_CHECKING:
    from rag_app.chunking import Chunking
    from rag_app.index import IndexModel, VectorCache
    from rag_app.sweep.grid import Setting
    from rag_app.sweep.indexes import IndexBuilder


@dataclass(frozen=True)
class SweepWorkload:
    """What is to be made.

    Fields:
        settings: that are compared.
        indexes: that are not there yet.
        sentences: about how many are to be embedded for `hybrid:learned` or `hybrid:equal`.
        seconds: about; asking the questions comes on top.
    """

    settings: int
    indexes: int
    sentences: int
    seconds: float

    def __str__(self) -> str:
        made = f", {self.indexes} indexes to make" if self.indexes else ""
        embedded = f", about {self.sentences} sentences to embed" if self.sentences else ""
        return f"{self.settings} settings{made}{embedded}"


def sweep_workload(
    builder: "IndexBuilder", settings: "Sequence[Setting]", cache: "VectorCache"
) -> SweepWorkload:
    """Cut and embed a few of the documents with each model; nothing is kept."""
    indexes, sentences, seconds = 0, 0, 0.0
    scoring = {_made_of(one) for one in settings if one.retrieval.weighs_views}
    for name, chunking in dict.fromkeys(map(_made_of, settings)):
        judged = builder.judged(name)
        model = builder.model(judged)
        if not builder.is_there(judged, chunking):
            indexes += 1
            chunker = SentenceChunker.for_model(model, chunking)
            work = foresee(builder.documents, chunker, model, cache)
            seconds += work.seconds if work else 0.0
        if (name, chunking) in scoring:
            count, duration = _of_views(builder, model, chunking, cache)
            sentences += count
            seconds += duration
    return SweepWorkload(len(settings), indexes, sentences, seconds)


def _made_of(setting: "Setting") -> "tuple[str, Chunking]":
    return setting.model, setting.chunking


def _of_views(
    builder: "IndexBuilder", model: "IndexModel", chunking: "Chunking", cache: "VectorCache"
) -> tuple[int, float]:
    """About how many sentences are not in the cache; the seconds that they and the tokens take."""
    some, share = sample(builder.documents)
    nodes = SentenceChunker.for_model(model, chunking).get_nodes_from_documents(some)
    texts = [text for node in nodes for text in sentence_texts(node, chunking.sentences)]
    missing = cache.missing_passages(model, texts)
    count = round(len(missing) * share)
    if count < FEWEST_CHUNKS:
        return 0, 0.0
    seconds = embedding_seconds(missing, model, cache)
    if token_embedder(model) is not None:
        seconds *= 1 + sum(len(node.text) for node in nodes) / sum(map(len, missing))
    return count, share * seconds
