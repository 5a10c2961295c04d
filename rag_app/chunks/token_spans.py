"""Where the tokens of a text are, so that spans of it are counted and cut."""

import bisect
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_app.text.sentences import Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Characters; what is longer is no token, but a word without a blank in it.
LONGEST_TOKEN = 64
# Characters that are tokenized at once.
WINDOW = 200_000


class TokenSpans:
    """A text's tokens by their place, so that any span is counted without tokenizing again.

    A long text is tokenized in windows that end with a line or a word: a tokenizer holds some 150
    bytes for each character of what it is given.
    """

    def __init__(self, tokenizer: "Tokenizer", text: str, *, window: int = WINDOW) -> None:
        self.text = text
        self.starts = array("L")
        for first, last in windows(text, window):
            encoding = tokenizer.encode(text[first:last], add_special_tokens=False)
            self.starts.extend(
                first + place
                for start, end in encoding.offsets
                if end > start
                # A word that a tokenizer does not know is one token to it, however long.
                for place in range(start, end, end - start if end - start <= LONGEST_TOKEN else 4)
            )

    def count(self, start: int, end: int) -> int:
        """Tokens that begin in text[start:end]."""
        return bisect.bisect_left(self.starts, end) - bisect.bisect_left(self.starts, start)

    def cut(self, span: Span, budget: int, *, reserved: int = 0) -> list[Span]:
        """Cut a span into pieces of at most `budget` tokens, between words where there are any.

        The first piece leaves room for `reserved` tokens before it.
        """
        start, end = span
        pieces: list[Span] = []
        room = max(budget - reserved, 1)
        while self.count(start, end) > (room if not pieces else budget):
            size = room if not pieces else budget
            limit = self.starts[bisect.bisect_left(self.starts, start) + size]
            space = self.text.rfind(" ", start + (limit - start) // 2, limit)
            middle = space + 1 if space > start else limit
            pieces.append((start, start + len(self.text[start:middle].rstrip())))
            start = middle
        return [*pieces, (start, end)]


def windows(text: str, longest: int) -> Iterator[Span]:
    """The whole text in parts of at most so many characters, cut after a line, or else a blank.

    >>> list(windows("one two\\nthree", 9))
    [(0, 8), (8, 13)]
    """
    start = 0
    while len(text) - start > longest:
        half, end = start + longest // 2, start + longest
        cut = max(text.rfind("\n", half, end), 0) or max(text.rfind(" ", half, end), 0)
        end = cut + 1 if cut else end
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)
