"""Tables of text cells from .csv, .tsv and .xlsx files."""

import csv
import io
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from rag_app.documents.archive import opened
from rag_app.documents.columns import holds_labels, named_columns
from rag_app.documents.content import Scalar, field_key
from rag_app.documents.left_out import LeftOut, left_out, named
from rag_app.documents.sources import MAX_DOCUMENT_CHARACTERS, Source, endless
from rag_app.documents.xlsx import Sheet, read_sheets
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode

_DELIMITERS = ",;\t"
# Lines that may stand above a header: a title, the date of the export.
_MOST_ABOVE = 20
_AGAIN = "columns with the name of an earlier one"
# What a spreadsheet shows, and exports, where a formula has no value.
_ERRORS = {
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"),
    *("#SPILL!", "#CALC!", "#FIELD!", "#GETTING_DATA"),
}

# Of one row: column from 1 -> cell.
Cells = Mapping[int, str]
# A list is several values: paragraphs of a text, or a field with several. Numbers and truth values
# are JSON's.
Cell = Scalar | tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of a table by column; columns lower-case with underscores, cells as written.

    Fields:
        numbers: of each record, its row as a spreadsheet counts: from 1, the header too.
        sheet: its name, in a workbook that has several.
        left_out: what is in no record.
        unsaved: rows with a formula whose value was not saved.
    """

    columns: tuple[str, ...]
    records: Sequence[Mapping[str, Cell]]
    numbers: Sequence[int] = ()
    sheet: str = ""
    left_out: Sequence[LeftOut] = ()
    unsaved: Sequence[int] = ()


def csv_tables(source: Source) -> list[Table]:
    """Read a .csv file; of comma, semicolon and tab, the one that parts the header most."""
    text = decode(source.read_bytes())
    lines = [line for line in text.splitlines()[: 2 * _MOST_ABOVE] if line.strip()]
    header = max(lines[:_MOST_ABOVE], key=_most_delimiters, default="")
    return [_delimited(text, source, delimiter=max(_DELIMITERS, key=header.count))]


def tsv_tables(source: Source) -> list[Table]:
    """Read a .tsv file, with quoted cells or, where that does not fit, without quoting."""
    text = decode(source.read_bytes())
    try:
        return [_delimited(text, source, delimiter="\t")]
    except DocumentError:
        return [_delimited(text, source, delimiter="\t", quoted=False)]


def xlsx_tables(source: Source) -> list[Table]:
    """Read every sheet of an .xlsx workbook; of formulas, the values it was saved with."""
    try:
        with opened(source, what="an .xlsx workbook") as archive:
            sheets = read_sheets(archive)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # whatever ZIP and XML inside make the parsers raise
        reason = f"{type(error).__name__}: {error}"
        raise DocumentError(f"cannot be parsed ({reason}); save it again, or as CSV") from error
    return [_sheet_table(sheet, source, alone=len(sheets) == 1) for sheet in sheets]


def _most_delimiters(line: str) -> int:
    return max(map(line.count, _DELIMITERS))


def _sheet_table(sheet: Sheet, source: Source, *, alone: bool) -> Table:
    name = "" if alone else sheet.name
    rows = sheet.rows.items()
    table = _table(rows, source, sheet=name, surplus="left out")
    left = [*table.left_out]
    beside = {"comments on cells": sheet.comments, **sheet.drawn}
    left += [LeftOut(part, n, name and f"sheet {name}") for part, n in beside.items() if n]
    noun = f"sheet {name}, row" if name else "row"
    left += left_out("rows with passages struck out", noun, sheet.struck)
    return replace(table, left_out=left, unsaved=sheet.unsaved)


def _delimited(text: str, source: Source, *, delimiter: str, quoted: bool = True) -> Table:
    lines: list[list[str]] = []
    begins = 1
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    with _long_cells():
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True
        )
        try:
            for line in reader:
                lines.append(line)
                begins = reader.line_num + 1
        except csv.Error as error:
            if "field limit" in str(error):
                raise DocumentError(
                    endless(f"has a cell, in the row that begins on line {begins},")
                ) from None
            raise DocumentError(
                f"has a stray or unclosed quotation mark in the row that begins on line {begins}; "
                'inside a quoted cell write it twice ("")'
            ) from None
    rows = ((number, dict(enumerate(line, 1))) for number, line in enumerate(lines, 1))
    return _table(rows, source, surplus="refused")


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the csv module's limit of 128 KiB a cell, which it keeps for the whole process."""
    limit = csv.field_size_limit(MAX_DOCUMENT_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _table(
    rows: Iterable[tuple[int, Cells]],
    source: Source,
    *,
    sheet: str = "",
    surplus: Literal["left out", "refused"],
) -> Table:
    """Make a table of numbered rows.

    Arguments:
        surplus: what becomes of cells under no column: of text they show a wrong delimiter.
    """
    filled = [(number, cells) for number, cells in rows if any(map(str.strip, cells.values()))]
    if not filled:
        return Table((), [], sheet=sheet)
    at = _header(filled[:_MOST_ABOVE], source)
    header = filled[at][1]
    columns = {column: key for column, cell in header.items() if (key := field_key(cell))}
    above, below = filled[:at], filled[at + 1 :]
    if surplus == "refused":
        _refuse_beyond(below, header)
    beyond = [number for number, cells in below if _is_beyond(cells, columns)]
    wrong = [number for number, cells in below if any(map(_is_error, cells.values()))]
    keys = list(columns.values())
    again = [key for place, key in enumerate(keys) if key in keys[:place]]
    in_sheet = f"sheet {sheet}, row" if sheet else "row"
    where = f"sheet {sheet}, " if sheet else ""
    return Table(
        tuple(keys),
        [_record(cells, columns) for _, cells in below],
        [number for number, _ in below],
        sheet,
        [
            *left_out("rows above the header", in_sheet, [number for number, _ in above]),
            *left_out("rows with cells under no column", in_sheet, beyond),
            *left_out("rows with an error in place of a value", in_sheet, wrong),
            *([LeftOut(_AGAIN, len(again), where + named(again))] if again else []),
        ],
    )


def _refuse_beyond(rows: Sequence[tuple[int, Cells]], header: Cells) -> None:
    """Refuse cells behind the header's last: they show a wrong delimiter."""
    for number, cells in rows:
        if _is_beyond(cells, header):
            raise DocumentError(
                f"has {len(cells)} cells in row {number} under {len(header)} columns; "
                "put quotation marks around a cell that holds the delimiter"
            )


def _header(rows: Sequence[tuple[int, Cells]], source: Source) -> int:
    """Which row names the columns: the first that names those that are looked for, else the first.

    Above it a title may stand.
    """
    for at, (_, cells) in enumerate(rows):
        columns = {field_key(cell) for cell in cells.values()}
        if all(named_columns(columns, source)) or holds_labels(columns, source):
            return at
    return 0


def _is_beyond(cells: Cells, columns: Container[int]) -> bool:
    return any(cell.strip() for column, cell in cells.items() if column not in columns)


def _record(cells: Cells, columns: Mapping[int, str]) -> dict[str, str]:
    record: dict[str, str] = {}
    for column, name in columns.items():
        cell = cells.get(column, "")
        record.setdefault(name, "" if _is_error(cell) else cell)
    return record


def _is_error(cell: str) -> bool:
    return cell.strip() in _ERRORS
