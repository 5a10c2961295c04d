"""Tables of questions and answers -> rows, and a document for each answer."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag_app.documents.cells import Cell, Table, csv_tables, tsv_tables, xlsx_tables
from rag_app.documents.columns import holds_labels, named_columns
from rag_app.documents.content import Content, field_key, long_names, shown
from rag_app.documents.html import strip_tags
from rag_app.documents.json_lines import json_tables
from rag_app.documents.left_out import LeftOut, left_out, named
from rag_app.documents.sources import Source, refuse_endless
from rag_app.errors import DocumentError
from rag_app.known import KnownQuestion
from rag_app.text.dates import DATE_KEYS, parse_date
from rag_app.text.normalise import normalise

TABLES: dict[str, Callable[[Source], list[Table]]] = {
    ".csv": csv_tables,
    ".tsv": tsv_tables,
    ".xlsx": xlsx_tables,
    ".jsonl": json_tables,
}
# Values of one key that a document has of rows with equal answers; each chunk carries them.
_MOST_UNITED = 100


@dataclass(frozen=True)
class Row:
    """One row of a table of questions and answers; both normalised and free of HTML tags.

    Fields:
        metadata: the further columns, lower-case with underscores, less the empty cells.
        number: as a spreadsheet counts, from 1 with the header.
        sheet: its name, in a workbook that has several.
    """

    question: str
    answer: str
    metadata: dict[str, Cell]
    number: int | None = None
    sheet: str = ""


def read_rows(path: Path, *, question_column: str, answer_column: str) -> list[Row]:
    """Read the rows of a table that have an answer; the question may be empty.

    Arguments:
        path: a .csv, .tsv, .xlsx or .jsonl file.
        question_column, answer_column: in any case; "question" and "answer" also find 질문, 답변.
    Raises:
        DocumentError: the file cannot be read, or has no such columns.
    """
    path = Path(path)
    source = Source(path, path.name, question_column, answer_column)
    if path.suffix.lower() not in TABLES:
        raise DocumentError(f"{path} is no table; name a file of these kinds: {' '.join(TABLES)}")
    try:
        return table_rows(TABLES[path.suffix.lower()](source), source)
    except DocumentError as error:
        raise DocumentError(f"{path} {error}") from error


def read_table(source: Source) -> list[Content]:
    """Read the answers of a table, equal ones once; of a table of labels, nothing."""
    return table_contents(TABLES[source.path.suffix.lower()](source), source)


def table_contents(tables: Sequence[Table], source: Source) -> list[Content]:
    """Make contents of a file's tables; equal answers are one, with the columns of all their rows.

    The questions of all their rows are known to be answered.
    """
    if any(holds_labels(table.columns, source) for table in tables):
        return []
    every = table_rows(tables, source)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in every:
        rows[row.answer].append(row)
    if not rows:
        raise DocumentError(_no_answers(tables))
    first, *others = [_content(alike) for alike in rows.values()]
    left = [
        *_left_out(tables, every, source),
        *ununited([[row.metadata for row in alike] for alike in rows.values()]),
    ]
    return [replace(first, left_out=left), *others]


def _no_answers(tables: Sequence[Table]) -> str:
    if any(table.unsaved for table in tables):
        return "holds formulas without their values; open it in a spreadsheet and save it again"
    if left := [one for table in tables for one in table.left_out]:
        return f"has no row with an answer, but {left[0]}; write its answers as text"
    return "has no row with an answer; fill in its answers or remove it"


def _left_out(tables: Sequence[Table], rows: Sequence[Row], source: Source) -> list[LeftOut]:
    """What of the tables is in no row, sheets as a whole first."""
    fitting = [table for table in tables if has_rows(table, source)]
    others = [table.sheet for table in tables if table.columns and table not in fitting]
    wanted = f"sheets without columns {source.question_column} and {source.answer_column}"
    left = [LeftOut(wanted, len(others), named(others))] if others else []
    for table in fitting:
        asked, _ = named_columns(table.columns, source)
        unsaved = set(table.unsaved) & set(table.numbers)
        told = unsaved | {row.number for row in rows if row.sheet == table.sheet}
        rest = {
            number: record
            for record, number in zip(table.records, table.numbers, strict=True)
            if number not in told and any(joined(cell).strip() for cell in record.values())
        }
        blank = {number for number, one in rest.items() if joined(one.get(asked, "")).strip()}
        noun = f"sheet {table.sheet}, row" if table.sheet else "row"
        left += table.left_out
        left += long_names("columns", table.columns)
        left += left_out("rows with a formula that has no saved value", noun, unsaved)
        left += left_out("rows without an answer", noun, blank)
        left += left_out("rows with neither question nor answer", noun, set(rest) - blank)
    return left


def _content(alike: Sequence[Row]) -> Content:
    """The one document of all rows with the same answer."""
    answer = alike[0].answer
    part = text_part(answer)
    return Content(
        answer,
        kind="faq",
        fields=united([row.metadata for row in alike]),
        dates=other_dates([row.metadata for row in alike]),
        part=part,
        merged=len(alike) - 1,
        questions=[
            KnownQuestion(row.question, part, row=row.number, sheet=row.sheet)
            for row in alike
            if row.question
        ],
    )


def united(alike: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """The fields of what is one document: of values that differ, all; of dates, the first."""
    return {key: _united(key, values) for key, values in _by_key(alike).items()}


def other_dates(alike: Sequence[Mapping[str, object]]) -> list[object]:
    """Of what is one document, the dates that differ from the first."""
    dates = [date for date in map(_date_of, alike if len(alike) > 1 else ()) if date is not None]
    return [date for date in dates if parse_date(date) != parse_date(dates[0])]


def _date_of(fields: Mapping[str, object]) -> object:
    named_dates = {field_key(key): value for key, value in fields.items()}
    return next((named_dates[key] for key in DATE_KEYS if key in named_dates), None)


def _by_key(alike: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    values: dict[str, list[object]] = defaultdict(list)
    for fields in alike:
        for key, value in fields.items():
            values[key].append(value)
    return values


def _united(key: str, values: Sequence[object]) -> object:
    distinct = _distinct(values)
    is_one = len(values) == 1 or len(distinct) == 1 or field_key(key) in DATE_KEYS
    return values[0] if is_one else tuple(distinct[:_MOST_UNITED])


def _distinct(values: Iterable[object]) -> list[str]:
    several = (value if isinstance(value, list | tuple) else (value,) for value in values)
    return list(dict.fromkeys(shown(one) for value in several for one in value))


def ununited(groups: Iterable[Sequence[Mapping[str, object]]]) -> list[LeftOut]:
    """Values that are not kept, of more than so many that differ."""
    counts: Counter[str] = Counter()
    for alike in groups:
        for key, values in _by_key(alike).items() if len(alike) > _MOST_UNITED else ():
            if field_key(key) not in DATE_KEYS:
                counts[key] += max(0, len(_distinct(values)) - _MOST_UNITED)
    names = [key for key, count in counts.items() if count]
    part = f"values after the first {_MOST_UNITED} of one document"
    return [LeftOut(part, counts.total(), named(names))] if names else []


def text_part(text: str) -> str:
    """Make the part of a document's id that stands for its text; 48 bits of SHA-256."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:12]


def has_rows(table: Table, source: Source) -> bool:
    """Tell whether a table has the columns of questions and answers."""
    return all(named_columns(table.columns, source))


def table_rows(tables: Sequence[Table], source: Source) -> list[Row]:
    """Take the rows with an answer from all tables that have both columns.

    Raises:
        DocumentError: no table has them.
    """
    fitting = [table for table in tables if has_rows(table, source)]
    if not fitting:
        raise DocumentError(_missing_columns(tables, source))
    rows = (row for table in fitting for row in _rows(table, *named_columns(table.columns, source)))
    return [row for row in rows if row.answer]


def _rows(table: Table, question: str, answer: str) -> Iterator[Row]:
    for record, number in zip(table.records, table.numbers, strict=True):
        yield replace(_row(record, question, answer), number=number, sheet=table.sheet)


def _row(record: Mapping[str, Cell], question: str, answer: str) -> Row:
    for cell in record.values():
        refuse_endless(joined(cell), what="has a cell")
    return Row(
        question=normalise(strip_tags(joined(record.get(question, "")))),
        answer=normalise(strip_tags(joined(record.get(answer, "")))),
        metadata={
            key: cell
            for key, raw in record.items()
            if key not in (question, answer) and (cell := _tidy(raw)) not in ("", ())
        },
    )


def joined(cell: Cell) -> str:
    """The text of a cell; several values are paragraphs."""
    return "\n\n".join(cell) if isinstance(cell, tuple) else shown(cell)


def _tidy(cell: Cell) -> Cell:
    if isinstance(cell, tuple):
        return tuple(filter(None, map(normalise, cell)))
    return normalise(cell) if isinstance(cell, str) else cell


def _missing_columns(tables: Sequence[Table], source: Source) -> str:
    columns = [name for table in tables for name in table.columns if name]
    if not columns:
        return "is empty; write rows into it or remove it"
    return (
        f"has no columns {source.question_column} and {source.answer_column}, but "
        f"{', '.join(dict.fromkeys(columns))}; name yours with --question-column/--answer-column"
    )
