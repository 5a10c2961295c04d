"""A report as Markdown for a pull request: the same parts, pictures as their figures."""

import html
import re
from collections.abc import Iterator, Sequence

from rag_app.report.blocks import Block, Listing, Paragraph, Report, Table
from rag_app.report.figures import rank_name
from rag_app.report.html import WORDS
from rag_app.report.questions import STATES, QuestionList, QuestionRow

# Questions of each state, and rows of the figures' tables: a comment is read, not searched.
LISTED = 10
ROWS = 40
# Not in mrr@10.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#!])")


def as_markdown(report: Report) -> str:
    """The page's twin."""
    verdict = WORDS.get(report.verdict)
    sentence = _plain(report.sentence)
    lines = [f"# {_plain(report.title)}", ""]
    lines += [f"**{verdict}:** {sentence}" if verdict else sentence, ""]
    for promise in report.promises:
        lines += [_plain(promise), ""]
    for section in report.sections:
        lines += [f"## {_plain(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
    lines.append(f"Run: {_plain(report.run)}")
    return "\n".join(lines) + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _plain(block.text)
    elif isinstance(block, Listing):
        yield from _listing(block)
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, QuestionList):
        yield from _questions(block)
    elif block.table is not None:
        shown = Table(block.table.heads, block.table.rows[:ROWS])
        yield from ["<details>", f"<summary>{html.escape(block.title)}</summary>", ""]
        yield from [*_table(shown), "", "</details>"]


def _listing(listing: Listing) -> Iterator[str]:
    """A fence that the text itself cannot end."""
    longest = max((len(run) for run in re.findall("`+", listing.text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from [f"{fence}{listing.language}", *listing.text.splitlines(), fence]


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield from [_plain(table.caption), ""]
    yield _row(table.heads)
    yield _row(["---"] * len(table.heads), raw=True)
    yield from (_row(row) for row in table.rows)


def _questions(listed: QuestionList) -> Iterator[str]:
    for state in STATES:
        rows = [row for row in listed.rows if row.state == state]
        if not rows or state == "found in both" or not listed.counts[state]:
            continue
        name = "missed" if listed.is_alone else state
        count = listed.counts[state]
        first = f", the first {LISTED}" if count > LISTED else ""
        yield from [f"{count:,} {name}{first}:", ""]
        heads = ["question", "right passage", "in its place", *_rank_heads(listed)]
        yield from _table(Table(heads, [_cells(row, listed) for row in rows[:LISTED]]))
        yield ""


def _rank_heads(listed: QuestionList) -> list[str]:
    return ["rank"] if listed.is_alone else [f"rank, {listed.before}", f"rank, {listed.after}"]


def _cells(row: QuestionRow, listed: QuestionList) -> list[str]:
    ranks = [row.after] if listed.is_alone else [row.before, row.after]
    instead = row.instead
    return [
        row.question,
        row.right.title or row.right.text,
        (instead.title or instead.text) if instead else "",
        *map(rank_name, ranks),
    ]


def _row(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Text that means nothing to Markdown, HTML, or who is mentioned with @."""
    line = " ".join(text.split())
    escaped = html.escape(_SPECIAL.sub(r"\\\1", line), quote=False)
    return _MENTION.sub("&#64;", escaped)
