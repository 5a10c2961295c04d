"""Columns of prose whose lines the file gives from left to right, across all of them."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple


class Part(NamedTuple):
    """A piece of a line with no wide gap in it, and where it stands in the page's text."""

    text: str
    start: int
    end: int


Line = list[Part]
# Left and right edge of a part.
Edges = Callable[[Part], tuple[float, float]]

# Of each column.
_LEAST_LINES = 8
# Cells of tables that fill their columns are short.
_LEAST_LETTERS = 15
# So many lines of prose reach so far into their column; entries of tables end anywhere.
_FULL_LINES, _FULL = 0.5, 0.75
# Of the lines of prose so many at most begin as a sentence or a number, or end as a sentence.
_MOST_WHOLE = 0.6
_ENDS = tuple(".?!:;。")


class _Side(NamedTuple):
    parts: Line
    left: float
    right: float


def column_by_column(lines: Sequence[Line], edges: Edges) -> list[Line]:
    """Put the lines of a left column before those right of it, where there are such columns.

    Arguments:
        lines: of a page, from top to bottom.
    """
    if sum(map(_may_be_two, lines)) < _LEAST_LINES:
        return list(lines)
    placed = [[_Side([part], *edges(part)) for part in line if part.text] for line in lines]
    gutter = _gutter(placed)
    ordered: list[Line] = []
    for crosses, run in groupby(
        zip(lines, placed, strict=True), lambda pair: _crosses(pair[1], gutter)
    ):
        pairs = list(run)
        columns = [] if crosses else _columns([sides for _, sides in pairs], gutter)
        # Of three columns two are still beside each other.
        apart = [line for column in columns for line in column_by_column(column, edges)]
        ordered += apart or [line for line, _ in pairs]
    return ordered


def _may_be_two(line: Line) -> bool:
    return len(line) > 1 and sum(len(part.text) for part in line) >= 2 * _LEAST_LETTERS


def _gutter(lines: Iterable[Sequence[_Side]]) -> float:
    """The place at which most lines have a gap."""
    bounds = []
    for sides in lines:
        for before, behind in pairwise(sides):
            bounds += [(before.right, 1), (behind.left, -1)]
    depth = deepest = 0
    place = 0.0
    for (edge, step), (following, _) in pairwise(sorted(bounds)):
        depth += step
        if depth > deepest:
            deepest, place = depth, (edge + following) / 2
    return place


def _crosses(sides: Sequence[_Side], gutter: float) -> bool:
    return any(side.left < gutter < side.right for side in sides)


def _columns(lines: Sequence[Sequence[_Side]], gutter: float) -> list[list[Line]]:
    """The lines of both columns; none where these are no columns of prose."""
    halves: list[list[_Side]] = [[], []]
    for sides in lines:
        for is_right, group in groupby(sides, lambda side: side.left >= gutter):
            half = list(group)
            parts = [part for side in half for part in side.parts]
            halves[is_right].append(_Side(parts, half[0].left, half[-1].right))
    if not all(map(_is_prose, halves)):
        return []
    return [[side.parts for side in half] for half in halves]


def _is_prose(column: Sequence[_Side]) -> bool:
    """Whether most lines of a column reach its right edge and go on with a sentence."""
    if len(column) < _LEAST_LINES:
        return False
    texts = ["\t".join(part.text for part in side.parts) for side in column]
    left, right = min(side.left for side in column), max(side.right for side in column)
    full = sum(side.right >= left + _FULL * (right - left) for side in column)
    begin = sum(text[0].isupper() or text[0].isdigit() for text in texts)
    end = sum(text.endswith(_ENDS) for text in texts)
    return (
        median(map(len, texts)) >= _LEAST_LETTERS
        and full >= _FULL_LINES * len(column)
        and max(begin, end) <= _MOST_WHOLE * len(column)
    )
