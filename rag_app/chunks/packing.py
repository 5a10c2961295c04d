"""Sentences -> spans of at most a chunk's tokens, none of which ends with a heading."""

from collections.abc import Sequence
from dataclasses import dataclass

from rag_app.chunks.token_spans import TokenSpans
from rag_app.text.layout import Layout
from rag_app.text.sentences import Span

# Characters of a header that chunks repeat; one that is longer is no header.
_LONGEST_HEADER = 400


@dataclass(frozen=True)
class Page:
    """A text that is cut: its tokens, its tables and code, and the tokens of a chunk."""

    tokens: TokenSpans
    layout: Layout
    budget: int

    @property
    def text(self) -> str:
        return self.layout.text

    def room(self, start: int) -> int:
        """Tokens of a chunk that begins here: among a table's rows, less those of its header.

        A header as long as a chunk must not leave the rows no room.
        """
        header = table_header(self.layout, start)
        taken = self.tokens.count(*header) if header else 0
        return max(self.budget - taken, self.budget // 2, 1)

    def announces(self, sentence: Span) -> bool:
        """Whether a sentence is a heading or a table's header, which must not end a chunk."""
        start = sentence[0]
        is_heading = self.text.startswith("#", start) and not self.layout.in_code(start)
        return is_heading or self.layout.is_header(start)


def table_header(layout: Layout, start: int) -> Span | None:
    """The header that a chunk repeats which begins here, among the rows of a table."""
    header = layout.header(start)
    return header if header and header[1] - header[0] <= _LONGEST_HEADER else None


def fitting(sentences: Sequence[Span], page: Page) -> list[Span]:
    """Cut sentences that are longer than a chunk, so that their headings still fit before them."""
    pieces: list[Span] = []
    announced = None
    for start, end in sentences:
        reserved = 0 if announced is None else page.tokens.count(announced, start)
        pieces += page.tokens.cut((start, end), page.room(start), reserved=reserved)
        if not page.announces((start, end)):
            announced = None
        elif announced is None:
            announced = start
    return pieces


def pack(sentences: Sequence[Span], page: Page, *, overlap: int) -> list[Span]:
    """Join neighbouring sentences into spans of at most the page's budget of tokens."""
    spans: list[Span] = []
    first = 0
    while first < len(sentences):
        after = first + 1
        start = sentences[first][0]
        room = page.room(start)
        while after < len(sentences) and page.tokens.count(start, sentences[after][1]) <= room:
            after += 1
        if after < len(sentences):
            after = _leave_headings(sentences, page, first, after)
        spans.append((start, sentences[after - 1][1]))
        if after == len(sentences):
            break
        first = _step_back(sentences, page, first, after, overlap=overlap)
    return spans


def _leave_headings(sentences: Sequence[Span], page: Page, first: int, after: int) -> int:
    """Give headings at the end of a chunk to the next one, which they announce."""
    last = after
    while last - 1 > first and page.announces(sentences[last - 1]):
        last -= 1
    return last


def _step_back(
    sentences: Sequence[Span], page: Page, first: int, after: int, *, overlap: int
) -> int:
    """The sentence with which the next chunk begins, so that at most `overlap` tokens repeat.

    Nothing repeats where the next new sentence would not fit behind it: a chunk must bring
    something new.
    """
    count = page.tokens.count
    back = after
    end = sentences[after - 1][1]
    new = next((i for i in range(after, len(sentences)) if not page.announces(sentences[i])), -1)
    while (
        back - 1 > first
        and count(sentences[back - 1][0], end) <= overlap
        and count(sentences[back - 1][0], sentences[new][1]) <= page.room(sentences[back - 1][0])
    ):
        back -= 1
    return back
