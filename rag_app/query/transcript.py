"""A conversation as Markdown: questions, answers, and the passages that they rest on."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer, Citation

_SPECIAL = re.compile(r"([\\`*_\[\]#|~])")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with its answer, and what was asked for it.

    Fields:
        index, model, retriever: the index's name, its model's, and how passages were found.
    """

    answer: "Answer"
    index: str
    model: str
    retriever: str


def as_markdown(exchanges: Sequence[Exchange]) -> str:
    """The whole conversation, oldest question first."""
    parts = ["# Questions and answers", *(_exchange(one) for one in exchanges)]
    return "\n\n".join(parts) + "\n"


def _exchange(exchange: Exchange) -> str:
    found = exchange.answer
    return "\n\n".join(
        [
            f"## {_plain(found.question)}",
            *([f"Understood as: {_plain(found.understood_as)}"] if found.understood_as else []),
            _answer(found),
            *_findings(found),
            *map(_citation, found.citations),
            f"Index `{exchange.index}`, model `{exchange.model}`, "
            f"retriever `{exchange.retriever}`.",
        ]
    )


def _answer(found: "Answer") -> str:
    if found.text is not None:
        # The marks [1] stay marks, and the model's lists stay lists.
        return _no_html(visible(found.text))
    if found.citations:
        return "No language model answered; these passages were found:"
    return "Nothing was found."


def _findings(found: "Answer") -> Iterator[str]:
    """What the check of the answer found."""
    for label, texts in (
        ("No passage supports", found.unsupported),
        ("No passage says", found.misquoted),
    ):
        yield from (f"**{label}:** {_plain(text)}" for text in texts)
    if found.draft:
        yield f"A draft by {_plain(str(found.model))}, a small model that is often wrong."


def _citation(citation: "Citation") -> str:
    """A numbered entry with the passage as a quotation below it."""
    place = [
        f"`{citation.path or citation.document}`",
        citation.pages,
        f"characters {citation.start}-{citation.end}",
        citation.date,
    ]
    title = f"**{_plain(citation.heading)}**, " if citation.heading else ""
    head = f"{citation.n}. {title}{', '.join(filter(None, place))}, score {citation.score:.3f}"
    asked = citation.asked
    known = [f'Question: "{_plain(asked["text"])}" ({_plain(asked["place"])})'] if asked else []
    table = [citation.table_header] if citation.table_header else []
    text = _no_html(visible("\n".join([*table, citation.text])))
    quoted = "\n".join(f"    > {line}".rstrip() for line in text.splitlines())
    return "\n\n".join([head, *(f"    {line}" for line in known), quoted])


def _plain(text: str) -> str:
    """Text on one line that Markdown takes for nothing else."""
    return _SPECIAL.sub(r"\\\1", _no_html(" ".join(visible(text).split())))


def _no_html(text: str) -> str:
    """Text in which no viewer of Markdown finds HTML."""
    return text.replace("<", "&lt;")
