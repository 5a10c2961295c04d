"""Rows of cells as text: a line each, cells parted by bars, a rule under the header."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

# Rows that one cell may span.
_TALLEST = 1_000


class Cell(NamedTuple):
    """A cell of a table whose cells say where they are, and how many rows they span."""

    row: int
    column: int
    text: str
    height: int = 1


def cells_text(cells: Iterable[Cell]) -> str:
    r"""Write a table as `table_text`: what spans rows is in each; "" where all cells are empty.

    >>> cells_text([Cell(0, 0, "plan"), Cell(0, 1, "price"), Cell(1, 0, "Basic"), Cell(1, 1, "10")])
    'plan | price\n--- | ---\nBasic | 10'
    """
    rows: dict[int, dict[int, str]] = {}
    for cell in cells:
        for number in range(cell.row, cell.row + min(cell.height, _TALLEST)):
            rows.setdefault(number, {})[cell.column] = cell.text
    if not any(cell for row in rows.values() for cell in row.values()):
        return ""
    return table_text([[row[at] for at in sorted(row)] for _, row in sorted(rows.items())])


def table_text(rows: Sequence[Sequence[str]]) -> str:
    r"""Write a table whose first row is its header; one row, or one column, has none.

    >>> table_text([["plan", "price"], ["Basic", "10"]])
    'plan | price\n--- | ---\nBasic | 10'
    """
    lines = [" | ".join(cells) for cells in rows]
    if len(rows) > 1 and len(rows[0]) > 1:
        lines.insert(1, " | ".join(["---"] * len(rows[0])))
    return "\n".join(lines)
