"""One question's answers of two indexes, beside each other or one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.cli.answers import INDENT, RAGGED, place
from rag_app.cli.excerpt import evidence, excerpt
from rag_app.cli.printing import broken, cut_lines
from rag_app.cli.run import Run
from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rich.text import Text

    from rag_app.answer.answer import Answer, Citation
    from rag_app.answer.evidence import Sentences
    from rag_app.index import IndexInfo
    from rag_app.vectors import Embedder

# Columns of a terminal from which on two answers stand beside each other.
WIDE = 100
BETWEEN = 2
# Lines of a terminal: what was typed, a blank one, the next prompt.
TAKEN = 3
BASE, TUNED, OTHER = "base", "tuned", "the other"


@dataclass(frozen=True)
class Found:
    """What an index gave for a question.

    Fields:
        index: its name.
        info, model: what made it.
    """

    index: str
    info: "IndexInfo"
    model: "Embedder"
    answer: "Answer"

    @property
    def kind(self) -> str:
        """Whether the model that made the index is tuned."""
        return BASE if self.info.model == self.info.base_model else TUNED


@dataclass(frozen=True)
class _Column:
    """One of the two answers as it is shown.

    Fields:
        heading: its kind and the index's name.
        other: what the other one is called, and its passages.
        width: columns.
    """

    found: Found
    heading: str
    other: str
    others: "Sequence[Citation]"
    width: int


def show_both(run: Run, former: Found, now: Found, *, lines_used: int) -> None:
    """Print both answers, base before tuned; on a terminal within the lines that are left of it.

    Arguments:
        lines_used: lines of the terminal that the command took already.
    """
    run.say(f"\n{now.answer.asked}", style="bold", hang=4)
    beside = run.out.is_terminal and run.out.width >= WIDE
    width = (run.out.width - BETWEEN) // 2 if beside else run.out.width
    first, second = sorted((former, now), key=lambda one: one.kind)
    columns = (_column(first, second, now, width), _column(second, first, now, width))
    most = max(len(column.found.answer.citations) for column in columns)
    rows = most if beside else sum(len(column.found.answer.citations) for column in columns)
    free = run.screen_lines(TAKEN + lines_used + (1 if beside else 2))
    lines = None if free is None else max(free // max(rows, 1), 1)
    parts = [_parts(column, lines) for column in columns]
    if beside:
        _print_beside(run, parts, width)
        return
    for part in parts:
        for text in part:
            for line in text:
                run.out.print(line, soft_wrap=True)


def _column(found: Found, other: Found, now: Found, width: int) -> _Column:
    mark = "*" if found is now else " "
    differs = found.kind != other.kind
    kind = f"{found.kind}: " if differs else ""
    return _Column(
        found=found,
        heading=f"{mark} {kind}{found.index}",
        other=other.kind if differs else OTHER,
        others=other.answer.citations,
        width=width,
    )


def _parts(column: _Column, lines: int | None) -> "list[list[Text]]":
    """Heading, answer and passages, each in lines that fit."""
    from rich.text import Text

    found = column.found.answer
    parts = [_fitting(column, column.heading, style="bold", most=1)]
    if found.text is not None:
        parts.append(_fitting(column, found.text))
    if not found.citations:
        parts.append([Text("nothing found")])
    chosen = evidence(found, column.found.model)
    for citation, sentences in zip(found.citations, chosen, strict=True):
        parts.append(_passage(column, citation, sentences, lines))
    return parts


def _passage(
    column: _Column, citation: "Citation", sentences: "Sentences", lines: int | None
) -> "list[Text]":
    """Number, score, title and rank in the other answer; then the place; then an excerpt."""
    from rich.text import Text

    rank = next((one.n for one in column.others if _same(one, citation)), None)
    elsewhere = f"rank {rank} in {column.other}" if rank else f"not in {column.other}"
    title = Text(visible(f"[{citation.n}] {citation.score:.3f}  {citation.name}"), style="bold")
    ending = Text(f"  ({elsewhere})", style="green" if rank is None else "")
    title.truncate(column.width - ending.cell_len, overflow="ellipsis")
    shown = [title.append_text(ending)]
    shown += _fitting(column, f"{INDENT}{place(citation, characters=False)}", style="dim", most=1)
    left = None if lines is None else lines - len(shown)
    if left is None or left > 0:
        cells = None if left is None else left * max(column.width - len(INDENT) - RAGGED, RAGGED)
        part = excerpt(visible(citation.text), sentences, cells=cells)
        text = Text(INDENT).append(part.before).append(part.sentence, "bold").append(part.after)
        shown += cut_lines(_stripped(broken(text, column.width)), left, column.width)
    return shown[:lines]


def _same(one: "Citation", other: "Citation") -> bool:
    """Whether two passages share half of the shorter one.

    Chunks of two sizes do not begin alike, and neighbours of one size share a little.
    """
    shared = min(one.end, other.end) - max(one.start, other.start)
    shorter = min(one.end - one.start, other.end - other.start)
    return one.document == other.document and 2 * shared >= shorter


def _fitting(
    column: _Column, text: str, *, style: str = "", most: int | None = None
) -> "list[Text]":
    from rich.text import Text

    lines = Text(visible(text), style=style).split("\n", allow_blank=True)
    parts = [part for line in lines for part in broken(line, column.width)]
    return cut_lines(_stripped(parts), most, column.width)


def _stripped(lines: "list[Text]") -> "list[Text]":
    for line in lines:
        line.rstrip()
    return lines


def _print_beside(run: Run, parts: "Sequence[Sequence[list[Text]]]", width: int) -> None:
    from itertools import zip_longest

    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, BETWEEN, 0, 0))
    for _ in parts:
        table.add_column(width=width, no_wrap=True, overflow="crop")
    for cells in zip_longest(*parts, fillvalue=[]):
        table.add_row(*(Text("\n").join(lines) for lines in cells))
    run.out.print(table)
