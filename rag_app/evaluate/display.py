"""Results as tables of a notebook: HTML by hand, pandas where it is installed."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError

if TYPE_CHECKING:
    import pandas

    from rag_app.evaluate.statistics import Difference, Estimate

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


def with_interval(score: "Estimate | Difference", *, signed: bool = False) -> str:
    """A mean and its 95 % interval: ".561 [.520, .602]", or "+.042 [.014, .070]" if signed."""
    mean, low, high = (short(value, signed=signed) for value in (score.mean, score.low, score.high))
    return f"{mean} [{low}, {high}]"


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
    """Rows as a pandas data frame.

    Raises:
        ConfigError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ConfigError("to_pandas() needs pandas: pip install pandas") from None
    return pandas.DataFrame(list(rows))


def short(value: float, *, signed: bool = False) -> str:
    """.573 for 0.573, 1.000 for 1; +.083 or -.012 if signed."""
    number = f"{abs(value):.3f}".removeprefix("0")
    sign = "-" if round(value, 3) < 0 else "+" if signed else ""
    return f"{sign}{number}"
