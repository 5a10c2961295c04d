"""Rows of cells as text: a line each, cells parted by bars, a rule under the header."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# Rows and columns that one cell may span.
_MOST_SPANNED = 1_000
# A text that is longer is not repeated.
_LONGEST_REPEATED = 300


class Cell(NamedTuple):
    """A cell of a table whose cells say where they are, how many rows and columns they span."""

    row: int
    column: int
    text: str
    height: int = 1
    width: int = 1


def cells_text(cells: Sequence[Cell]) -> str:
    r"""Write a table as `table_text`: what spans rows is in each; "" where all cells are empty.

    >>> cells_text([Cell(0, 0, "plan"), Cell(0, 1, "price"), Cell(1, 0, "Basic"), Cell(1, 1, "10")])
    'plan | price\n--- | ---\nBasic | 10'
    """
    if not any(cell.text for cell in cells):
        return ""
    return table_text([row for _, row in sorted(grid(cells).items())])


def grid(cells: Iterable[Cell]) -> Mapping[int, list[str]]:
    """Row -> texts of its columns: what spans rows or columns stands in each of them.

    A column in which no cell begins is none, and a cell that has a row to itself is a title.

    >>> grid([Cell(0, 0, "plan"), Cell(0, 1, "price", 1, 2), Cell(1, 1, "a month")])
    {0: ['plan', 'price'], 1: ['', 'a month']}
    """
    listed = list(cells)
    begun = sorted({cell.column for cell in listed})
    rows: dict[int, dict[int, Cell]] = {}
    for cell in listed:
        ends = cell.column + min(cell.width, _MOST_SPANNED)
        columns = [cell.column, *(at for at in begun if cell.column < at < ends)]
        for number in range(cell.row, cell.row + min(cell.height, _MOST_SPANNED)):
            rows.setdefault(number, {}).update(dict.fromkeys(columns, cell))
    return {number: _texts(number, row, begun) for number, row in rows.items()}


def _texts(number: int, row: Mapping[int, Cell], begun: Sequence[int]) -> list[str]:
    if len({cell.column for cell in row.values()}) == 1 and begun[0] in row:
        return [row[begun[0]].text]
    last = max(row)
    return [_text(number, at, row[at]) if at in row else "" for at in begun if at <= last]


def _text(row: int, column: int, cell: Cell) -> str:
    first = (row, column) == (cell.row, cell.column)
    return cell.text if first or len(cell.text) <= _LONGEST_REPEATED else ""


def table_text(rows: Sequence[Sequence[str]]) -> str:
    r"""Write a table whose first row is its header; one row, or one column, has none.

    >>> table_text([["plan", "price"], ["Basic", "10"]])
    'plan | price\n--- | ---\nBasic | 10'
    """
    header = next((at for at, cells in enumerate(rows) if len(cells) > 1), len(rows))
    return "\n".join(table_lines(rows, header if header + 1 < len(rows) else None))


def table_lines(rows: Sequence[Sequence[str]], header: int | None) -> list[str]:
    r"""Write rows as lines, with a rule behind the header's.

    Arguments:
        header: its place among the rows. A row of one cell is a title above it; below it the row
            keeps a bar, or it would end the table.

    >>> table_lines([["2024"], ["plan", "price"], ["Extras"]], header=1)
    ['2024', 'plan | price\n--- | ---', 'Extras |']
    """
    lines = [" | ".join(cells) for cells in rows]
    if header is not None:
        lines[header] += "\n" + " | ".join(["---"] * len(rows[header]))
        for at in range(header + 1, len(rows)):
            lines[at] += " |" if len(rows[at]) == 1 else ""
    return lines
