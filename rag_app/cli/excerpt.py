"""A few lines of a passage, around the sentence that it was found or cited for."""

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer
    from rag_app.answer.evidence import Sentences
    from rag_app.vectors import Embedder

# Characters: three to four lines of a terminal. Of the English sample's answers 74 % stand whole in
# the excerpt of their passage; chosen by shared words 60 %, in its first 300 characters 51 %.
LONGEST = 300


@dataclass(frozen=True)
class Excerpt:
    """A part of a passage: what stands before its evidence, that sentence, what follows."""

    before: str
    sentence: str
    after: str


def evidence(found: "Answer", model: "Embedder") -> "list[Sentences]":
    """The sentences of each passage, and which of them is the evidence.

    It is the one that the answer cites, or else the one that is nearest to the question. All
    sentences are embedded at once.
    """
    from rag_app.answer.evidence import Sentences, nearest_sentences

    nearest = nearest_sentences(found.asked, [visible(one.text) for one in found.citations], model)
    cited = {one["n"]: one["start"] for one in reversed(found.evidence)}
    chosen = []
    for citation, sentences in zip(found.citations, nearest, strict=True):
        starts = [citation.start + start for start, _ in sentences.spans]
        start = cited.get(citation.n)
        best = starts.index(start) if start in starts else sentences.best
        chosen.append(Sentences(sentences.spans, best))
    return chosen


def excerpt(text: str, sentences: "Sentences", *, cells: int | None = None) -> Excerpt:
    """The evidence and, as far as there is room, the sentences that follow and those before it.

    Arguments:
        cells: columns of a terminal that the excerpt may fill, wide letters taking two; at most
            LONGEST characters in any case.
    """
    fits = _fits(cells)
    spans, best = sentences.spans, sentences.best
    first = last = best
    grown = True
    while grown:
        grown = False
        if last + 1 < len(spans) and fits(text[spans[first][0] : spans[last + 1][1]]):
            last, grown = last + 1, True
        if first > 0 and fits(text[spans[first - 1][0] : spans[last][1]]):
            first, grown = first - 1, True
    start, end = spans[best]
    sentence = _one_line(text[start:end])
    if not fits(sentence):
        return Excerpt("", _cut(sentence, fits), " …")
    before, after = _one_line(text[spans[first][0] : start]), _one_line(text[end : spans[last][1]])
    before = f"{'… ' if first > 0 else ''}{before}{' ' if before else ''}"
    after = f"{' ' if after else ''}{after}{' …' if last + 1 < len(spans) else ''}"
    return Excerpt(before, sentence, after)


def _fits(cells: int | None) -> Callable[[str], bool]:
    from rich.cells import cell_len

    return lambda text: len(text) <= LONGEST and (cells is None or cell_len(text) <= cells)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning that fits, between words where there are some."""
    longest = bisect(range(1, len(text) + 1), False, key=lambda end: not fits(text[:end]))
    return text[:longest].rpartition(" ")[0] or text[:longest]


def _one_line(text: str) -> str:
    return " ".join(text.split())
