"""Tables of questions and answers -> rows, and a document for each answer."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rag_app.documents.cells import Table, csv_tables, tsv_tables, xlsx_tables
from rag_app.documents.content import Content, field_key
from rag_app.documents.html import strip_tags
from rag_app.documents.json_lines import json_tables
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
# What else the two columns may be called where nobody named them.
_SYNONYMS = {"question": "질문", "answer": "답변"}
# Tables that say which document answers a question: labelled pairs, BEIR's judgements.
_LABELS = ({"question", "document", "evidence"}, {"query-id", "corpus-id"})


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
    metadata: dict[str, str]
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
    if any(holds_labels(table, source) for table in tables):
        return []
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in table_rows(tables, source):
        rows[row.answer].append(row)
    if not rows:
        raise DocumentError("has no row with an answer; fill in its answers or remove it")
    return [_content(alike) for alike in rows.values()]


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


def table_document_id(file_id: str, answer: str) -> str:
    """Name the document of an answer: the file's id and twelve digits of the answer's hash."""
    return f"{file_id}#{text_part(answer)}"


def text_part(text: str) -> str:
    """Make the part of a document's id that stands for its text; 48 bits of SHA-256."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:12]


def holds_labels(table: Table, source: Source) -> bool:
    """Tell whether a table labels documents instead of holding them."""
    columns = set(table.columns)
    pairs = {"question", "document"} <= columns and not _named_columns(table, source)[1]
    return pairs or any(labels <= columns for labels in _LABELS)


def has_rows(table: Table, source: Source) -> bool:
    """Tell whether a table has the columns of questions and answers."""
    return all(_named_columns(table, source))


def table_rows(tables: Sequence[Table], source: Source) -> list[Row]:
    """Take the rows with an answer from all tables that have both columns.

    Raises:
        DocumentError: no table has them.
    """
    fitting = [table for table in tables if has_rows(table, source)]
    if not fitting:
        raise DocumentError(_missing_columns(tables, source))
    rows = (row for table in fitting for row in _rows(table, *_named_columns(table, source)))
    return [row for row in rows if row.answer]


def _rows(table: Table, question: str, answer: str) -> Iterator[Row]:
    for record, number in zip(table.records, table.numbers, strict=True):
        yield replace(_row(record, question, answer), number=number, sheet=table.sheet)


def _named_columns(table: Table, source: Source) -> tuple[str, str]:
    """Find the columns of question and answer; one that is not there is ""."""
    question = _column(table, field_key(source.question_column))
    return question, _column(table, field_key(source.answer_column))


def _column(table: Table, key: str) -> str:
    names = (key, _SYNONYMS.get(key, key))
    return next((name for name in names if name in table.columns), "")


def _row(record: dict[str, str], question: str, answer: str) -> Row:
    for cell in record.values():
        refuse_endless(cell, what="has a cell")
    further = {
        key: normalise(cell) for key, cell in record.items() if key not in (question, answer)
    }
    return Row(
        question=normalise(strip_tags(record.get(question, ""))),
        answer=normalise(strip_tags(record.get(answer, ""))),
        metadata={key: cell for key, cell in further.items() if key and cell},
    )


def _missing_columns(tables: Sequence[Table], source: Source) -> str:
    columns = [name for table in tables for name in table.columns if name]
    if not columns:
        return "is empty; write rows into it or remove it"
    return (
        f"has no columns {source.question_column} and {source.answer_column}, but "
        f"{', '.join(dict.fromkeys(columns))}; name yours with --question-column/--answer-column"
    )
