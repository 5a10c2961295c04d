"""Tables of text cells from .csv, .tsv and .xlsx files."""

import csv
import io
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Literal

from rag_app.documents.content import field_key
from rag_app.documents.sources import MAX_DOCUMENT_CHARACTERS, Source, endless
from rag_app.errors import DocumentError
from rag_app.text.normalise import decode

_DELIMITERS = ",;\t"
_MAX_UNZIPPED_BYTES = 1024**3
_MAX_SHEET_ROWS = 1_048_576  # what Excel itself holds


@dataclass(frozen=True)
class Table:
    """Rows of a table by column; columns lower-case with underscores, cells as written.

    Fields:
        numbers: of each record, its row as a spreadsheet counts: from 1, the header too.
        sheet: its name, in a workbook that has several.
    """

    columns: tuple[str, ...]
    records: list[dict[str, str]]
    numbers: Sequence[int] = ()
    sheet: str = ""


def csv_tables(source: Source) -> list[Table]:
    """Read a .csv file; of comma, semicolon and tab, the one that parts the header most."""
    text = decode(source.read_bytes())
    header = next((line for line in text.splitlines() if line.strip()), "")
    return [_delimited(text, delimiter=max(_DELIMITERS, key=header.count))]


def tsv_tables(source: Source) -> list[Table]:
    """Read a .tsv file, with quoted cells or, where that does not fit, without quoting."""
    text = decode(source.read_bytes())
    try:
        return [_delimited(text, delimiter="\t")]
    except DocumentError:
        return [_delimited(text, delimiter="\t", quoted=False)]


def xlsx_tables(source: Source) -> list[Table]:
    """Read every sheet of an .xlsx workbook; of formulas, the values it was saved with."""
    data = io.BytesIO(source.read_bytes())
    try:
        sheets = _sheets(data)
    except DocumentError:
        raise
    except Exception as error:  # whatever ZIP and XML inside make the parsers raise
        reason = f"{type(error).__name__}: {error}"
        raise DocumentError(f"cannot be parsed ({reason}); save it again, or as CSV") from error
    several = len(sheets) > 1
    return [_table(lines, sheet=name if several else "") for name, lines in sheets]


def _sheets(data: io.BytesIO) -> list[tuple[str, list[list[str]]]]:
    from openpyxl import load_workbook

    _refuse_archive(data)
    with warnings.catch_warnings():
        # Styles, validation and pictures that openpyxl does not know are no part of the text.
        warnings.simplefilter("ignore")
        workbook = load_workbook(data, read_only=True, data_only=True)
        return [(sheet.title, list(_sheet_lines(sheet))) for sheet in workbook.worksheets]


def _delimited(text: str, *, delimiter: str, quoted: bool = True) -> Table:
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
    return _table(lines)


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise the csv module's limit of 128 KiB a cell, which it keeps for the whole process."""
    limit = csv.field_size_limit(MAX_DOCUMENT_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _table(lines: Iterable[Sequence[str]], *, sheet: str = "") -> Table:
    """Make a table of lines of cells, of which the first that is not blank is the header."""
    filled = [(number, line) for number, line in enumerate(lines, 1) if any(map(str.strip, line))]
    if not filled:
        return Table((), [])
    (_, header), *rows = filled
    columns = tuple(map(field_key, header))
    records = []
    for number, row in rows:
        if any(map(str.strip, row[len(columns) :])):
            raise DocumentError(
                f"has {len(row)} cells in row {number} under {len(columns)} columns; "
                "put quotation marks around a cell that holds the delimiter"
            )
        record: dict[str, str] = {}
        for column, cell in zip(columns, row, strict=False):
            record.setdefault(column, cell)
        records.append(record)
    return Table(columns, records, [number for number, _ in rows], sheet)


def _refuse_archive(data: io.BytesIO) -> None:
    """Refuse what is no workbook, and one made to fill the memory."""
    try:
        with zipfile.ZipFile(data) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        raise DocumentError(
            "is not an .xlsx workbook (an old .xls, or one with a password?); save it as .xlsx"
        ) from None
    if size > _MAX_UNZIPPED_BYTES:
        raise DocumentError(f"unpacks to {size / 1024**3:.0f} GB; split it into smaller files")


def _sheet_lines(sheet: Any) -> Iterator[list[str]]:
    # Some programs write A1 as the extent of every sheet, and only that cell would be read.
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        # openpyxl makes up every row before one that is numbered a billion.
        if number > _MAX_SHEET_ROWS:
            raise DocumentError(f"has over {_MAX_SHEET_ROWS:,} rows; split it into smaller files")
        yield [_cell_text(value) for value in row]


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
