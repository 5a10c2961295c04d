"""The questions that a passage is known to answer: a table's own, labelled ones, kept judgements.

They are no part of a passage: a changed question embeds no passage again, no filter names them and
no language model reads them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rag_app.text.asked import LONGEST_QUESTION, question_key

# Characters of a question that a passage is called by.
_LONGEST_NAME = 160
# Where a reader puts a document's questions in its metadata; no chunk gets them from there.
KNOWN_QUESTIONS = "known_questions"
# Origin of the questions that stand in the documents themselves: an ingest replaces them.
FAQ = "faq"
# Origin of those that somebody labelled.
HUMAN = "human"


@dataclass(frozen=True, slots=True)
class KnownQuestion:
    """A question and the place that answers it.

    Fields:
        document_id: the document that answers it.
        start, end: the evidence's characters in the document's text; None: the whole document.
        origin: "faq", or who labelled it, such as "human".
        row: in the table that it stands in, from 1, the header counted; None outside of tables.
        sheet: of a workbook with several.

    >>> KnownQuestion("when do you open", "faq.csv#1", row=12).place
    'row 12'
    """

    text: str
    document_id: str
    start: int | None = None
    end: int | None = None
    origin: str = FAQ
    row: int | None = None
    sheet: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for people: "row 12", "sheet Returns, row 12", or who asked it."""
        if self.row is None:
            return "labelled" if self.origin == HUMAN else self.origin
        return f"sheet {self.sheet}, row {self.row}" if self.sheet else f"row {self.row}"

    @property
    def name(self) -> str:
        """What its passage is called where that has no title; empty for one of no table."""
        return row_name(self.text, self.place) if self.row is not None else ""

    @property
    def askable(self) -> bool:
        """Whether anybody could ask it: it says something, and is no pasted document."""
        return 0 < len(self.text) <= LONGEST_QUESTION and any(map(str.isalnum, self.text))


def row_name(question: str, place: str) -> str:
    """A table's question, shortened, and where it stands.

    >>> row_name("When do you open?", "row 12")
    'When do you open? (row 12)'
    """
    line = " ".join(question.split())
    return f"{line if len(line) <= _LONGEST_NAME else line[: _LONGEST_NAME - 1] + '…'} ({place})"


def dump_questions(questions: Iterable[KnownQuestion]) -> str:
    """One document's questions as JSON, which Chroma stores as text; `load_questions` reads it."""
    return json.dumps([_plain(question) for question in questions], ensure_ascii=False)


def _plain(question: KnownQuestion) -> dict[str, Any]:
    names = ("text", "start", "end", "origin", "row", "sheet")
    values = {name: getattr(question, name) for name in names}
    return {name: value for name, value in values.items() if value not in (None, "", FAQ)}


def load_questions(text: str, document_id: str) -> list[KnownQuestion]:
    """What `dump_questions` wrote of a document."""
    return [KnownQuestion(document_id=document_id, **values) for values in json.loads(text)]


def without_repeats(questions: Iterable[KnownQuestion]) -> list[KnownQuestion]:
    """Those that can be asked; of two that ask the same of one place, the first."""
    first: dict[tuple[object, ...], KnownQuestion] = {}
    for one in questions:
        if one.askable:
            key = (question_key(one.text), one.document_id, one.start, one.end)
            first.setdefault(key, one)
    return list(first.values())
