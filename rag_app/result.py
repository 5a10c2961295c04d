"""What all results of public functions can do: plain values, a table to look at, a data frame."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError
from rag_app.text.width import columns

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Table:
    """A table as text or HTML.

    Fields:
        caption: what stands above it.
        notes: lines below it.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join([self.caption, *self._lines(), *self.notes])

    def as_html(self) -> str:
        """For a notebook; every cell is escaped."""
        head = "".join(f"<th>{escape(header)}</th>" for header in self.headers)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        below = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return (
            f"<table><caption>{escape(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
        )

    def _lines(self) -> Iterator[str]:
        every = [self.headers, *self.rows]
        widths = [max(map(columns, column)) for column in zip(*every, strict=True)]
        for row in every:
            # Korean letters take two columns of a terminal each.
            gaps = (width - columns(cell) for cell, width in zip(row, widths, strict=True))
            yield "  ".join(
                f"{cell}{' ' * gap}" for cell, gap in zip(row, gaps, strict=True)
            ).rstrip()


class Result(ABC):
    """What a public function returns.

    A dataclass is made with `repr=False`, or its own representation hides the table.
    """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them where there is a command."""

    @abstractmethod
    def table(self) -> Table:
        """What is shown of it in a terminal and a notebook."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """The rows of `to_pandas`."""

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows of `records` as a data frame.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ConfigError("to_pandas() needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.records())

    def __repr__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().as_html()
