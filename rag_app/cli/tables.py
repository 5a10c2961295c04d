"""Tables on a terminal: names and numbers stay whole; what has no room is left out by columns."""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table
    from rich.text import Text

# Blanks between two columns: a padding, and the box's own.
GAP = 2
# A column of running text is no narrower, unless all of it is.
FLOWING_WIDTH = 12


@dataclass(frozen=True)
class Column:
    """A header with its cells; those of running text may be broken."""

    header: str
    cells: "list[Text]"
    flowing: bool

    @cached_property
    def width(self) -> int:
        """What it needs where the header is broken between its words."""
        cells = max((cell.cell_len for cell in self.cells), default=0)
        return max(
            min(cells, FLOWING_WIDTH) if self.flowing else cells,
            *map(len, self.header.split() or [""]),
        )

    @cached_property
    def whole_width(self) -> int:
        """What it needs with its header on one line."""
        return max(self.width, len(self.header))


@dataclass(frozen=True)
class TextTable:
    """A plain table that fits where it is printed.

    Fields:
        columns: the first to the left, the others to the right.
        least: places of columns in the order in which they are left out. The first column and the
            last of these stay; where the two have no room, the first is broken.
    """

    columns: Sequence[Column]
    title: str
    least: Sequence[int]

    def fits(self, width: int) -> bool:
        """Whether no column need be left out, and no header be broken."""
        return _total(column.whole_width for column in self.columns) <= width

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Table]":
        """As Rich prints it."""
        kept = dict(enumerate(self.columns))
        for place in self.least[:-1]:
            if _total(column.width for column in kept.values()) > options.max_width:
                del kept[place]
        left_out = [column.header for n, column in enumerate(self.columns) if n not in kept]
        yield self._made(list(kept.values()), left_out, options.max_width)

    def _made(self, columns: list[Column], left_out: list[str], width: int) -> "Table":
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        made = Table(
            box=SIMPLE_HEAD,
            title=self.title or None,
            title_justify="left",
            title_style="",
            caption=f"no room for {', '.join(left_out)}" if left_out else None,
            caption_justify="left",
            caption_style="",
            show_edge=False,
            padding=(0, GAP - 1, 0, 0),
            pad_edge=False,
        )
        whole = _total(column.whole_width for column in columns) <= width
        tight = _total(column.width for column in columns) > width
        for position, column in enumerate(columns):
            header = column.header
            breaks = column.flowing or (tight and (position == 0 or 2 * column.width > width))
            made.add_column(
                header if whole else textwrap.fill(header, column.width, break_long_words=False),
                justify="right" if position else "left",
                overflow="fold",
                no_wrap=not breaks,
            )
        for row in zip(*(column.cells for column in columns), strict=True):
            made.add_row(*row)
        return made


def _total(widths: Iterable[int]) -> int:
    return sum(width + GAP for width in widths) - GAP


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    least: Sequence[str] = (),
    flowing: Collection[str] = (),
) -> TextTable:
    """A table of cells in Rich's markup.

    Arguments:
        least: headers of the columns that are left out where there is no room, the least important
            first; then the others from the right.
        flowing: headers of columns of running text, which may be broken.
    """
    from rich.text import Text

    columns = [
        Column(header, [Text.from_markup(row[n], emoji=False) for row in rows], header in flowing)
        for n, header in enumerate(headers)
    ]
    named = [headers.index(header) for header in least]
    others = [n for n in reversed(range(1, len(headers))) if n not in named]
    return TextTable(columns, title, [*named, *others])
