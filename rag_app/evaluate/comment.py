"""A gate's decision as a short Markdown comment for a pull request."""

import re

from rag_app.evaluate.changes import Change
from rag_app.evaluate.figures import change_with_interval, with_interval
from rag_app.evaluate.gate import WATCHED, Decision, Gate
from rag_app.evaluate.junit import counted
from rag_app.text.normalise import visible

MOST_QUESTIONS = 20
LONGEST_QUESTION = 160
HEADS: dict[Decision, str] = {
    "no loss": "no loss",
    "loss": "a certain loss",
    "cannot tell": "the questions cannot tell",
}
# What Markdown, GitHub's mentions or HTML would obey.
_OBEYED = re.compile(r"[^\w\s.,;?'\"()/%+=-]|_")


def markdown_comment(gate: Gate) -> str:
    """Decision, metrics, what moved, and the questions that fell farthest."""
    compared = gate.comparison
    rows = [
        f"| {metric} | {with_interval(compared.base[metric])} "
        f"| {with_interval(compared.tuned[metric])} "
        f"| {change_with_interval(compared.differences[metric])} |"
        for metric in WATCHED
    ]
    lines = [
        f"### Retrieval: {HEADS[gate.decision]}",
        "",
        f"{gate.reason}.",
        "",
        "| metric | baseline [95 %] | now | difference |",
        "|---|---|---|---|",
        *rows,
        "",
        *(f"- {line}" for line in counted(gate)),
        *(f"- {_plain(line)}" for line in gate.apart),
        *_worse(gate),
        "",
    ]
    return "\n".join(lines)


def _worse(gate: Gate) -> list[str]:
    shown = gate.worse[:MOST_QUESTIONS]
    if not shown:
        return []
    many = f"{len(gate.worse)} questions" if len(gate.worse) > 1 else "1 question"
    first = f", the first {len(shown)}" if len(shown) < len(gate.worse) else ""
    return [
        "",
        f"<details><summary>{many} fell{first}</summary>",
        "",
        "| question | rank before | now |",
        "|---|---|---|",
        *(_row(change) for change in shown),
        "",
        "</details>",
    ]


def _row(change: Change) -> str:
    question = " ".join(visible(change.question).split())
    cut = question if len(question) <= LONGEST_QUESTION else f"{question[:LONGEST_QUESTION]} …"
    return f"| {_plain(cut)} | {change.old_rank or 'none'} | {change.new_rank or 'none'} |"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: names and questions may hold anything."""
    return _OBEYED.sub(lambda found: f"&#{ord(found[0])};", visible(text))
