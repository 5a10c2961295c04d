"""An answer sentence by sentence while the model still writes it, each one checked."""

import re
from collections.abc import Sequence

from rag_app.answer.citations import check_citations
from rag_app.text.sentences import split_by_rules

# Marks, whole or half written, that may still belong to the sentence before them.
_MARKS = re.compile(r"^(?:\s*\[[\d\s,;]*\]?)*\s*")


class CheckedStream:
    """Takes an answer in pieces and gives back its sentences, marked as the whole answer will be.

    A sentence is given back when the next one has begun, since its marks may follow its stop.

    >>> stream = CheckedStream(["Refunds take five days."])
    >>> [stream.feed(piece) for piece in ("Refunds take five", " days. [1] ", "That")]
    ['', '', 'Refunds take five days. [1]']
    >>> stream.rest("Refunds take five days. [1] That is all.")
    ' That is all.'
    """

    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = passages
        self._raw = ""
        self._given = ""

    def feed(self, piece: str) -> str:
        """Add a piece; the checked text that is certain by it, often nothing."""
        self._raw += piece
        spans = split_by_rules(self._raw)
        while spans and not any(map(str.isalpha, self._after_marks(spans[-1][0]))):
            spans.pop()
        if len(spans) < 2:
            return ""
        checked = check_citations(self._raw[: spans[-1][0]] + self._marks(spans), self._passages)
        return self._new(checked.text)

    def rest(self, whole: str) -> str:
        """What is left of the whole checked answer; all of it where it came out otherwise."""
        if whole.startswith(self._given):
            return whole[len(self._given) :]
        return f"\n\n{whole}"

    def _after_marks(self, start: int) -> str:
        return _MARKS.sub("", self._raw[start:])

    def _marks(self, spans: Sequence[tuple[int, int]]) -> str:
        """The marks at the beginning of the last sentence: they belong to the one before it."""
        found = _MARKS.match(self._raw[spans[-1][0] :])
        return found[0] if found else ""

    def _new(self, text: str) -> str:
        if not text.startswith(self._given):
            return ""
        new, self._given = text[len(self._given) :], text
        return new
