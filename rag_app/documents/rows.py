"""Rows of cells as text: a line each, cells parted by bars, a rule under the header."""

from collections.abc import Sequence


def table_text(rows: Sequence[Sequence[str]]) -> str:
    r"""Write a table whose first row is its header; one row, or one column, has none.

    >>> table_text([["plan", "price"], ["Basic", "10"]])
    'plan | price\n--- | ---\nBasic | 10'
    """
    lines = [" | ".join(cells) for cells in rows]
    if len(rows) > 1 and len(rows[0]) > 1:
        lines.insert(1, " | ".join(["---"] * len(rows[0])))
    return "\n".join(lines)
