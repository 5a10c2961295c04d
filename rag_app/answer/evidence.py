"""The sentence of a passage that is nearest to a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.text.sentences import Span, split_by_rules

if TYPE_CHECKING:
    from rag_app.vectors import Embedder


@dataclass(frozen=True, slots=True)
class Sentences:
    """Where a passage's sentences stand in it, and which of them is nearest to the question."""

    spans: list[Span]
    best: int

    @property
    def nearest(self) -> Span:
        """Where the nearest one stands."""
        return self.spans[self.best]


def nearest_sentences(question: str, passages: Sequence[str], model: "Embedder") -> list[Sentences]:
    """The sentences of each passage; all of them are embedded at once."""
    split = [split_by_rules(text) or [(0, len(text))] for text in passages]
    sentences = [
        text[start:end] for text, spans in zip(passages, split, strict=True) for start, end in spans
    ]
    if not sentences:
        return []
    likeness = model.embed_passages(sentences) @ model.embed_queries([question])[0]
    found, at = [], 0
    for spans in split:
        found.append(Sentences(spans, int(likeness[at : at + len(spans)].argmax())))
        at += len(spans)
    return found
