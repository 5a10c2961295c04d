"""Tables of questions and answers -> rows, and a document for each answer."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag_app.documents.cells import Cell, Table, csv_tables, tsv_tables, xlsx_tables
from rag_app.documents.columns import holds_labels, named_columns
from rag_app.documents.content import Content
from rag_app.documents.html import strip_tags
from rag_app.documents.json_lines import json_tables
from rag_app.documents.left_out import LeftOut, left_out, named
from rag_app.documents.sources import Source, refuse_endless
from rag_app.errors import DocumentError
from rag_app.known import KnownQuestion
from rag_app.text.normalise import normalise

TABLES: dict[str, Callable[[Source], list[Table]]] = {
    ".csv": csv_tables,
    ".tsv": tsv_tables,
    ".xlsx": xlsx_tables,
    ".jsonl": json_tables,
}


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
    """Make contents of a file's tables; of equal answers the first row's columns stay.

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
    return [replace(first, left_out=_left_out(tables, every, source)), *others]


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
        answered = {row.number for row in rows if row.sheet == table.sheet}
        asked, _ = named_columns(table.columns, source)
        unsaved = set(table.unsaved) & set(table.numbers)
        blank = {
            number
            for record, number in zip(table.records, table.numbers, strict=True)
            if number not in answered and record.get(asked) and number not in unsaved
        }
        noun = f"sheet {table.sheet}, row" if table.sheet else "row"
        left += table.left_out
        left += left_out("rows with a formula that has no saved value", noun, unsaved)
        left += left_out("rows without an answer", noun, blank)
    return left


def _content(alike: Sequence[Row]) -> Content:
    """The one document of all rows with the same answer."""
    answer = alike[0].answer
    part = text_part(answer)
    return Content(
        answer,
        kind="faq",
        fields=alike[0].metadata,
        part=part,
        merged=len(alike) - 1,
        questions=[
            KnownQuestion(row.question, part, row=row.number, sheet=row.sheet)
            for row in alike
            if row.question
        ],
    )


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
            if key and key not in (question, answer) and (cell := _tidy(raw))
        },
    )


def joined(cell: Cell) -> str:
    """The text of a cell; several values are paragraphs."""
    return cell if isinstance(cell, str) else "\n\n".join(cell)


def _tidy(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return normalise(cell)
    return tuple(filter(None, map(normalise, cell)))


def _missing_columns(tables: Sequence[Table], source: Source) -> str:
    columns = [name for table in tables for name in table.columns if name]
    if not columns:
        return "is empty; write rows into it or remove it"
    return (
        f"has no columns {source.question_column} and {source.answer_column}, but "
        f"{', '.join(dict.fromkeys(columns))}; name yours with --question-column/--answer-column"
    )
