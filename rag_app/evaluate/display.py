"""Results as tables of a notebook: HTML by hand, pandas where it is installed."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

# Of all metrics, those that a table of two runs shows, and a narrower one.
COMPARED_METRICS = (
    "hit_rate@1",
    "hit_rate@2",
    "hit_rate@3",
    "hit_rate@5",
    "hit_rate@10",
    "mrr@10",
    "ndcg@10",
)
SHOWN_METRICS = ("hit_rate@1", "hit_rate@3", "hit_rate@5", "hit_rate@10", "mrr@10", "ndcg@10")
# As the field writes them.
HEADS = {"hit_rate": "hit", "mrr": "MRR", "ndcg": "nDCG"}


def html_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    notes: Sequence[str] = (),
) -> str:
    """A table for a notebook; every cell is escaped.

    Arguments:
        caption: what stands above it.
        notes: lines below it.
    """
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
    )


def data_frame(rows: Sequence[dict[str, Any]]) -> "pandas.DataFrame":
    """Rows as a pandas data frame."""
    import pandas

    return pandas.DataFrame(list(rows))
