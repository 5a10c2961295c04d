"""Tables of HTML: rows of data as lines of cells with bars, the header with a rule under it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

from rag_app.documents.rows import Cell, grid, table_lines

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# What no cell of data holds, only one that lays out a page.
_LAID_OUT = ("table", "pre", "h1", "h2", "h3", "h4", "h5", "h6")
# Nor several paragraphs, or a list, of more characters than these; or alone in each row.
_LONGEST_TEXT = 1_000
_SEVERAL = re.compile(r"\S *\n\s*\S")
_ITEM = re.compile(r"- |\d+\. |[A-Za-z]+\. ")
_CELLS = ("td", "th")
_MOST_SPANNED = 1_000  # as browsers have it


def write_tables(soup: "BeautifulSoup", *, headed: bool = False) -> None:
    """Write rows of data as lines; a row that only lays out a page is left as blocks.

    Blocks and items of lists are lines of text already.

    Arguments:
        headed: the first row of a table is its header where none is marked.
    """
    tables: dict[int, list[Tag]] = defaultdict(list)
    for row in soup.find_all("tr"):
        tables[id(row.find_parent("table"))].append(row)
    for rows in tables.values():
        _write(rows, headed=headed)


def _write(rows: "Sequence[Tag]", *, headed: bool) -> None:
    longest = _LONGEST_TEXT if any(len(_cells(row)) > 1 for row in rows) else 0
    laid_out = [_is_laid_out(row, longest) for row in rows]
    texts = grid(_placed(rows))
    marked = [_is_marked(row) for row in rows]
    data = [number for number in texts if not laid_out[number] and any(texts[number])]
    data.sort()
    lines = [texts[number] for number in data]
    header = _header(lines, [marked[number] for number in data], headed=headed)
    for row, out in zip(rows, laid_out, strict=True):
        if not out:
            row.clear()
    if header:
        lines[header.start] = _named([lines[at] for at in header])
        del lines[header.start + 1 : header.stop], data[header.start + 1 : header.stop]
    for number, line in zip(
        data, table_lines(lines, header.start if header else None), strict=True
    ):
        rows[number].append(f"{line}\n")


def _header(
    lines: Sequence[Sequence[str]], marked: Sequence[bool], *, headed: bool
) -> range | None:
    """The rows that name the columns of those that follow, which may be several; None: none do."""
    begins = next((at for at, cells in enumerate(lines) if len(cells) > 1), len(lines))
    count = len(list(takewhile(bool, marked[begins:])))
    if begins + 1 >= len(lines) or not (count or headed):
        return None
    several = max(count, 1) if begins + count < len(lines) else 1
    return range(begins, begins + several)


def _named(rows: Sequence[Sequence[str]]) -> list[str]:
    """One name for each column of a header of several rows."""
    width = max(map(len, rows))
    columns = [[row[at] for row in rows if at < len(row) and row[at]] for at in range(width)]
    return [" ".join(name for name, _ in groupby(names)) for names in columns]


def _placed(rows: "Sequence[Tag]") -> Iterator[Cell]:
    """The cells of a table with their places, those of its rows that lay out the page included."""
    for _, group in groupby(enumerate(rows), lambda pair: id(pair[1].parent)):
        numbered = list(group)
        end = numbered[-1][0] + 1
        # Column -> the row at which a cell from above ends.
        taken: dict[int, int] = {}
        for number, row in numbered:
            column = 0
            for cell in _cells(row):
                while taken.get(column, 0) > number:
                    column += 1
                width = _span(cell, "colspan", most=_MOST_SPANNED)
                height = _span(cell, "rowspan", most=end - number)
                text = "" if cell.find(_LAID_OUT) else _text(cell)
                yield Cell(number, column, text, height, width)
                if height > 1:
                    taken |= dict.fromkeys(range(column, column + width), number + height)
                column += width


def _cells(row: "Tag") -> "list[Tag]":
    # A form may stand between a row and its cells.
    return list(row.find_all(_CELLS, recursive=False) or row.find_all(_CELLS))


def _span(cell: "Tag", name: str, *, most: int) -> int:
    """How many rows or columns a cell spans; of rows, 0 is all that follow."""
    written = str(cell.get(name, "1")).strip()
    number = int(written) if re.fullmatch("[0-9]{1,6}", written) else 1
    number = most if number == 0 and name == "rowspan" else max(number, 1)
    return min(number, most)


def _text(cell: "Tag") -> str:
    """Paragraphs of a cell one after the other, items of a list parted by semicolons."""
    text = ""
    for line in filter(None, map(str.strip, cell.get_text().splitlines())):
        is_item = _ITEM.match(line)
        join = "; " if is_item and text and not text.endswith(":") else " "
        text += f"{join}{line.removeprefix('- ')}" if text else line.removeprefix("- ")
    return " ".join(text.split())


def _is_laid_out(row: "Tag", longest: int) -> bool:
    cells = _cells(row)
    return not cells or any(
        cell.find(_LAID_OUT) is not None or _has_blocks(cell.get_text().strip(), longest)
        for cell in cells
    )


def _has_blocks(text: str, longest: int) -> bool:
    """Whether a text has several lines, and is longer than a cell of data with some has."""
    return len(text) > longest and _SEVERAL.search(text) is not None


def _is_marked(row: "Tag") -> bool:
    """Whether HTML says that a row names columns."""
    within = row.parent
    named = within is not None and within.name == "thead"
    return named or all(cell.name == "th" for cell in _cells(row))
