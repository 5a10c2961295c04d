"""Flags of retrieval that several commands share, and the tools that retrieval needs."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.llm.chat import ChatModel
    from rag_app.retrieve import Tools

Where = Annotated[
    str | None, typer.Option(help="Filter, as in: category = billing and date >= 2023-06.")
]
FetchK = Annotated[
    int | None, typer.Option(help="Candidates that hybrid and steps choose from. [100]")
]
Rewrites = Annotated[int | None, typer.Option(help="Questions that multi_query writes. [3]")]
Llm = Annotated[str | None, typer.Option(help="auto, none, local or endpoint.")]
LlmBaseUrl = Annotated[str | None, typer.Option(help="OpenAI-compatible, to /v1.")]
LlmModel = Annotated[str | None, typer.Option(help="Its name there, or a GGUF.")]
Today = Annotated[str | None, typer.Option(help="The day that ages are counted from. [today]")]


def read_day(text: str | None) -> dt.date | None:
    """The day of --today.

    Raises:
        ConfigError: it is no date.
    """
    from rag_app.text.dates import parse_date

    if text is None:
        return None
    day = parse_date(text)
    if day is None:
        raise ConfigError(f"--today is {text!r}; write a date such as 2024-03-05")
    return day


def make_tools(settings: "Settings", llm: "ChatModel | None") -> "Tools":
    """What retrieval needs besides an index; the clock is read here and nowhere else."""
    from rag_app.models.cross_encoder import load_cross_encoder
    from rag_app.retrieve import Tools

    return Tools(
        storage=settings.storage,
        today=settings.today or dt.datetime.now(tz=dt.UTC).date(),
        llm=llm,
        load_encoder=lambda name: load_cross_encoder(name, settings),
    )


@contextmanager
def open_tools(settings: "Settings", specs: "Sequence[str]") -> "Iterator[Tools]":
    """Tools for these retrievers; a language model is started only if one of them asks it."""
    from rag_app.llm.choose import open_language_model
    from rag_app.retrieve import RetrievalOptions

    own = RetrievalOptions.from_settings(settings)
    asked = any(own.with_spec(spec).asks_model for spec in specs)
    llm = open_language_model(settings) if asked else None
    try:
        yield make_tools(settings, llm)
    finally:
        if llm is not None:
            llm.close()
