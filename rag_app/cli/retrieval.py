"""The tools that retrieval needs, as the command line makes them."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rag_app.cli.given import language_model_of, retrieval_of, workspace_of
from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.llm.chat import ChatModel
    from rag_app.retrieve import Tools


def read_day(text: str | None) -> dt.date | None:
    """The day of --today.

    Raises:
        ConfigError: it is no date.
    """
    from rag_app.text.dates import parse_date

    if text is None:
        return None
    day = parse_date(text)
    if day is None or ":" in text:
        raise ConfigError(f"--today is {text!r}; write a date such as 2024-03-05, without a time")
    return day


def make_tools(settings: "Settings", llm: "ChatModel | None") -> "Tools":
    """What retrieval needs besides an index."""
    from rag_app.retrieve import Tools

    return Tools.of(workspace_of(settings), llm, today=settings.today)


@contextmanager
def open_tools(settings: "Settings", specs: "Sequence[str]") -> "Iterator[Tools]":
    """Tools for these retrievers; a language model is started only if one of them asks it."""
    from rag_app.llm.choose import open_language_model

    own = retrieval_of(settings)
    asked = any(own.with_spec(spec).asks_model for spec in specs)
    llm = open_language_model(language_model_of(settings)) if asked else None
    try:
        yield make_tools(settings, llm)
    finally:
        if llm is not None:
            llm.close()
