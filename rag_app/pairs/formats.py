"""Files of labelled questions -> `LabelledQuestion`; one table says which formats there are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag_app.documents import Columns, read_rows
from rag_app.errors import DocumentError, PairsError
from rag_app.pairs.datasets import beir_folder, read_beir, read_embedding_qa
from rag_app.pairs.labelled import LabelledQuestion
from rag_app.pairs.lines import read_json_lines, text_of
from rag_app.text.normalise import normalise


def read_questions(
    path: str | Path, *, question_column: str = "question", answer_column: str = "answer"
) -> list[LabelledQuestion]:
    """Read labelled questions from a file, or from a BEIR folder.

    Arguments:
        path: .csv, .tsv, .xlsx or .jsonl with a question and its answer in each row; .jsonl with
            question, document and, where known, passage, evidence, start and end; .json as
            LlamaIndex's EmbeddingQAFinetuneDataset is saved; a folder in BEIR's layout (its
            qrels/test.tsv, or dev.tsv or train.tsv where that is missing), or one file of its
            qrels.
        question_column, answer_column: what a table calls them.
    Raises:
        PairsError: there is no such file, its format is unknown or broken, or it is empty.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "faq.csv"
    >>> _ = path.write_text("question,answer\\nwhen do you open,From nine to six.\\n")
    >>> [(one.question, one.passage) for one in read_questions(path)]
    [('when do you open', 'From nine to six.')]
    """
    path = Path(path)
    reader = _reader(path)
    try:
        questions = reader(path, Columns(question_column, answer_column))
    except DocumentError as error:
        raise PairsError(str(error)) from None
    except OSError as error:
        reason = error.strerror or error
        raise PairsError(f"{path} cannot be opened: {reason}; mend it or name another") from None
    if not questions:
        raise PairsError(f"{path} holds no labelled question; name a file that does")
    return questions


def _reader(path: Path) -> "Reader":
    if not path.exists():
        raise PairsError(f"{path} does not exist; name a file of questions, or a BEIR folder")
    kind = "folder" if beir_folder(path) else path.suffix.lower()
    if kind not in READERS:
        raise PairsError(
            f"{path} is of an unknown format {kind!r}; the known ones are {', '.join(READERS)} "
            "(BEIR's layout)"
        )
    return READERS[kind]


def _read_table(path: Path, columns: Columns) -> list[LabelledQuestion]:
    rows = read_rows(path, question_column=columns.question, answer_column=columns.answer)
    return [LabelledQuestion(row.question, passage=row.answer) for row in rows if row.question]


def _read_jsonl(path: Path, columns: Columns) -> list[LabelledQuestion]:
    """Read rows that name documents, or rows of questions and answers: the first one tells."""
    rows = list(read_json_lines(path))
    if rows and "document" in rows[0][1] and columns.answer not in rows[0][1]:
        if columns.question not in rows[0][1]:
            raise PairsError(
                f"{path} has no column {columns.question!r}; it has: {', '.join(rows[0][1])}; name "
                "the question's with --question-column"
            )
        return [_evidence_row(row, place, columns.question) for place, row in rows]
    return _read_table(path, columns) if rows else []


def _evidence_row(row: dict[str, Any], place: str, question: str) -> LabelledQuestion:
    start, end = row.get("start"), row.get("end")
    if (start, end) != (None, None) and not (type(start) is type(end) is int and 0 <= start < end):
        raise PairsError(
            f"{place}: start {start!r} and end {end!r} are no span; give two whole numbers, the "
            "first the smaller, or leave both out"
        )
    said = {
        name: normalise(text_of(row, name, place))
        for name in ("passage", "evidence")
        if row.get(name)
    }
    return LabelledQuestion(
        normalise(text_of(row, question, place)),
        document=text_of(row, "document", place).strip(),
        passage=said.get("passage"),
        evidence=said.get("evidence"),
        start=start,
        end=end,
        origin=text_of({"origin": "human"} | row, "origin", place),
    )


Reader = Callable[[Path, Columns], list[LabelledQuestion]]

READERS: dict[str, Reader] = {
    ".csv": _read_table,
    ".tsv": _read_table,
    ".xlsx": _read_table,
    ".jsonl": _read_jsonl,
    ".json": lambda path, _: read_embedding_qa(path),
    "folder": lambda path, _: read_beir(path),
}
