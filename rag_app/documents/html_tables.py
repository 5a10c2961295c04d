"""Tables of HTML: rows of data as lines of cells with bars, the header with a rule under it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

# What no cell of data holds, only one that lays out a page.
_LAID_OUT = ("table", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "h5", "h6")
_MOST_ROWS_SPANNED = 1_000
_LONGEST_SPREAD = 300


def part_cells(soup: "BeautifulSoup") -> None:
    """Put rows and cells beside each other that HTML lets an author leave open.

    html.parser puts each of them into the one before.
    """
    for tag in soup.find_all(["tr", "td", "th"]):
        same = {"tr"} if tag.name == "tr" else {"td", "th"}
        outer = tag.find_parent(["table", "tr", *same])
        if outer is not None and outer.name in same:
            outer.insert_after(tag.extract())


def spread_cells(soup: "BeautifulSoup") -> None:
    """Write a cell that spans rows into each of them; its words belong to every one."""
    for cell in soup.find_all(["td", "th"], rowspan=True):
        count = str(cell["rowspan"])
        rows = int(count) if count.isdecimal() and len(count) < 6 else 1
        if rows > 1 and len(cell.get_text()) <= _LONGEST_SPREAD and not cell.find(_LAID_OUT):
            _spread(cell, min(rows, _MOST_ROWS_SPANNED))


def _spread(cell: "Tag", rows: int) -> None:
    from bs4 import Tag

    place = len(cell.find_previous_siblings(["td", "th"]))
    row = cell.find_parent("tr")
    for _ in range(rows - 1):
        row = row.find_next_sibling("tr") if row is not None else None
        if row is None:
            return
        copy = Tag(name=cell.name)
        copy.string = cell.get_text()
        others = row.find_all(["td", "th"], recursive=False)
        if place < len(others):
            others[place].insert_before(copy)
        else:
            row.append(copy)


def join_cells(row: "Tag") -> None:
    """Write a row of data as one line; a row that only lays out a page is left as blocks."""
    cells = row.find_all(["td", "th"])
    if any(len(cell.find_all("p")) > 1 or cell.find(_LAID_OUT) for cell in cells):
        return
    line = " | ".join(" ".join(cell.get_text().split()) for cell in cells)
    rule = " | ".join(["---"] * len(cells)) + "\n" if _is_header(row, cells) else ""
    row.clear()
    row.append(f"{line}\n{rule}" if line.strip(" |") else "")


def _is_header(row: "Tag", cells: "list[Tag]") -> bool:
    """Whether a row of several cells names the columns of the rows that follow."""
    within = row.parent
    named = within is not None and within.name == "thead"
    if len(cells) < 2 or not (named or all(cell.name == "th" for cell in cells)):
        return False
    table = row.find_parent("table")
    return table is not None and table.find("tr") is row and row.find_next("tr") is not None
