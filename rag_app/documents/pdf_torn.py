"""Korean words that lines end within, as Korean typesetting breaks them: at any syllable."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from rag_app.documents.pdf_columns import Edges, Line, Part
from rag_app.text.scripts import has_hangul

SOFT_HYPHEN = "\u00ad"
# Of a page: so many lines that end with a word, before the others are held to be torn.
_LEAST_BLANKS = 3
# A program that breaks lines at blanks alone may leave out some; torn ends are as many and more.
_LEAST_TORN = 0.5
# In letters of the line: what a full one may leave free.
_FREE = 2.0


def mark_torn(lines: Sequence[Line], edges: Edges, has_blank: Callable[[Part], bool]) -> list[Line]:
    """Put a soft hyphen behind each line that ends within a Korean word.

    Where a line ends tells nothing: a full line ends at the margin either way. But a program that
    writes the blank behind a word also at a line's end writes none within a word. So lines are told
    on pages that have both; on pages without such blanks, as browsers print them, none is.

    Arguments:
        lines: of a page, in reading order.
        has_blank: whether the file has a blank behind a part.
    """
    ends = _full_ends(lines, edges)
    torn = [number for number, part in ends if not has_blank(part)]
    blanks = len(ends) - len(torn)
    if blanks < _LEAST_BLANKS or len(torn) < _LEAST_TORN * blanks:
        return list(lines)
    marked = set(torn)
    return [
        [*line[:-1], line[-1]._replace(text=line[-1].text + SOFT_HYPHEN)]
        if number in marked
        else line
        for number, line in enumerate(lines)
    ]


def _full_ends(lines: Sequence[Line], edges: Edges) -> list[tuple[int, Part]]:
    """Number and last part of each full line of Korean that goes on with Korean."""
    ends = [
        (number, line[0], following[0])
        for number, (line, following) in enumerate(pairwise(lines))
        if len(line) == len(following) == 1 and _goes_on(line[0].text, following[0].text)
    ]
    if len(ends) < _LEAST_BLANKS:
        return []
    placed = {part: edges(part) for line in lines for part in line if part.text}
    full = []
    for number, part, behind in ends:
        left, right = placed[part]
        margin = max(end for start, end in placed.values() if start < right and left < end)
        free = _FREE * (right - left) / len(part.text)
        if margin - right < free and placed[behind][0] < left + free:
            full.append((number, part))
    return full


def _goes_on(text: str, following: str) -> bool:
    return has_hangul(text[-1:]) and has_hangul(following[:1])
