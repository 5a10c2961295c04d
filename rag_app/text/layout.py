"""Where a text has tables and fenced code: its sentences are rows there, and lines of a program."""

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag_app.text.sentences import Span

_LINE = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)")
# The line under a table's header: | --- | :--: |
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")


@dataclass(frozen=True, slots=True)
class TableSpan:
    """A table with a header: it begins at `start`, its rows at `body`, and ends at `end`."""

    start: int
    body: int
    end: int


@dataclass(frozen=True)
class Layout:
    """The tables and the fenced code of a text, in their order."""

    text: str
    tables: Sequence[TableSpan]
    code: Sequence[Span]

    @classmethod
    def of(cls, text: str) -> "Layout":
        """Find them.

        >>> text = chr(10).join(["Fees:", "a | b", "--- | ---", "1 | 2", "", "end"])
        >>> [(t.start, t.body, t.end) for t in Layout.of(text).tables]
        [(6, 22, 28)]
        """
        code = list(_code(text))
        return cls(text, list(_tables(text, code)), code)

    def in_code(self, place: int) -> bool:
        """Whether a place lies behind the beginning of a block of code, and before its end."""
        at = bisect.bisect_right(self.code, place, key=lambda span: span[0]) - 1
        return at >= 0 and self.code[at][0] < place < self.code[at][1]

    def header(self, place: int) -> Span | None:
        """The header of the table among whose rows a place lies."""
        at = bisect.bisect_right(self.tables, place, key=lambda table: table.body) - 1
        if at < 0 or place >= self.tables[at].end:
            return None
        return self.tables[at].start, self.tables[at].body

    def is_header(self, place: int) -> bool:
        """Whether a table begins here."""
        at = bisect.bisect_left(self.tables, place, key=lambda table: table.start)
        return at < len(self.tables) and self.tables[at].start == place

    def with_rows(self, sentences: Sequence[Span]) -> list[Span]:
        """The sentences, in tables the header as one and each row as one."""
        pieces: list[Span] = []
        at = 0
        for table in self.tables:
            behind = bisect.bisect_left(sentences, table.start, lo=at, key=lambda span: span[0])
            pieces += sentences[at:behind]
            pieces += self._rows(table)
            at = bisect.bisect_left(sentences, table.end, lo=behind, key=lambda span: span[0])
        return [*pieces, *sentences[at:]]

    def _rows(self, table: TableSpan) -> Iterator[Span]:
        header = self.text[table.start : table.body]
        yield table.start, table.start + len(header.rstrip())
        for start, end in _lines(self.text, table.body, table.end):
            yield start, start + len(self.text[start:end].rstrip())


def without_code(text: str, *, begins_in_code: bool = False) -> str:
    """A text without its fenced code, fences included.

    Arguments:
        begins_in_code: its first lines belong to a block that began before.

    >>> without_code(chr(10).join(["one", "~~~", "# two", "~~~", "three"]))
    'one\\nthree'
    """
    if begins_in_code:
        fence = next((s for s, e in _lines(text, 0, len(text)) if _closes(text[s:e], "")), None)
        text = "" if fence is None else text[fence:].partition("\n")[2]
    kept, at = [], 0
    for start, end in _code(text):
        kept.append(text[at:start])
        at = end
    return "".join([*kept, text[at:]])


def _code(text: str) -> Iterator[Span]:
    """Blocks between fences, with them and the line end; one that is not closed ends the text."""
    opened: tuple[int, str] | None = None
    for start, end in _lines(text, 0, len(text)):
        line = text[start:end]
        if opened is None:
            match = _FENCE.match(line)
            if match and not (match["fence"][0] == "`" and "`" in match["info"]):
                opened = start, match["fence"]
        elif _closes(line, opened[1]):
            yield opened[0], end
            opened = None
    if opened is not None:
        yield opened[0], len(text)


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return bool(match and match["fence"].startswith(fence) and not match["info"].strip())


def _tables(text: str, code: Sequence[Span]) -> Iterator[TableSpan]:
    """A line with a bar, a rule under it, and the lines with a bar that follow."""
    begun: TableSpan | None = None
    before: Span | None = None
    fenced = Layout(text, (), code)
    for start, end in _lines(text, 0, len(text)):
        line = text[start:end]
        is_row = "|" in line and not fenced.in_code(start)
        if begun and is_row:
            begun = TableSpan(begun.start, begun.body, end)
        elif begun:
            yield begun
            begun = None
        elif before and is_row and _RULE.fullmatch(line.rstrip("\n")):
            begun = TableSpan(before[0], end, end)
        before = (start, end) if is_row else None
    if begun:
        yield begun


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    """Lines with their ends."""
    for match in _LINE.finditer(text, start, end):
        if match.end() > match.start():
            yield match.span()
