"""What a report is made of, whatever it is written as."""

from dataclasses import dataclass, field
from typing import TypeAlias

from rag_app.report.questions import QuestionList


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first column names its rows."""

    heads: list[str]
    rows: list[list[str]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with the figures that it shows.

    Fields:
        svg: made here, with all texts escaped.
        table: the same figures, for who cannot see the picture; None where they stand beside it.
    """

    title: str
    svg: str
    table: Table | None


@dataclass(frozen=True)
class Listing:
    """Text that stays as it is: a command, settings, code.

    Fields:
        language: as Markdown names it.
    """

    text: str
    language: str = "text"


Block: TypeAlias = Paragraph | Table | Figure | Listing | QuestionList


@dataclass(frozen=True)
class Section:
    """A part of a report under its heading."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Report:
    """A report.

    Fields:
        run: name of the run.
        verdict: promote, hold or reject; empty where nothing was judged.
        sentence: what came of it.
        promises: what that says about questions to come.
    """

    title: str
    run: str
    verdict: str
    sentence: str
    promises: list[str]
    sections: list[Section] = field(default_factory=list)
