"""What `serve` and `mcp` share: flags, the service they ask, and where they listen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.given import language_model_of, workspace_of
from rag_app.cli.run import Run
from rag_app.errors import ConfigError, RagAppError

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.llm.chat import ChatModel
    from rag_app.serve.server import Place
    from rag_app.serve.service import Service

LIMITS = "Limits"

Host = Annotated[
    str | None,
    typer.Option(help="Address to listen at; one that others reach needs a token. [127.0.0.1]"),
]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token that clients send, readable by its owner alone. [RAG_APP_TOKEN]"
    ),
]
ServedIndexName = Annotated[
    str | None,
    typer.Option(
        "--index", help="Index to ask: a name, its beginning, base or tuned. [in service]"
    ),
]
ServedRetriever = Annotated[
    str | None,
    typer.Option(
        "--retriever",
        help="How passages are found unless a request says: vector, keyword, hybrid:0.7, with "
        "steps such as +questions, +latest, +rerank:NAME. [that of the index's verdict, or "
        "vector+questions]",
    ),
]
Rate = Annotated[
    int,
    typer.Option(
        min=1, help="Requests a minute that one address may send.", rich_help_panel=LIMITS
    ),
]


def place_of(
    settings: "Settings", *, host: str | None, port: int | None, token_file: Path | None
) -> "Place":
    """Where to listen.

    Raises:
        ConfigError: others could ask without a token, or the token's file cannot be used.
    """
    from rag_app.serve.server import LOOPBACK, Place, checked_place, read_token

    kept = settings.token.get_secret_value() if settings.token else None
    token = read_token(token_file) if token_file else kept
    return checked_place(Place(host or LOOPBACK, 8000 if port is None else port, token))


@contextmanager
def service_of(settings: "Settings", index: str | None) -> "Iterator[Service]":
    """A service with its language model, which is closed at the end.

    Raises:
        ConfigError, LanguageModelError: a setting cannot be followed.
    """
    from rag_app.serve.asked import Serving
    from rag_app.serve.service import Service

    options = language_model_of(settings)
    serving = Serving(
        index=index,
        retriever=settings.retriever,
        top_k=settings.top_k,
        fetch_k=settings.fetch_k,
        rewrites=settings.rewrites,
        where=settings.where,
        draft=options.named,
    )
    llm = _language_model(settings)
    try:
        yield Service(workspace_of(settings), serving, llm=llm, today=settings.today)
    finally:
        if llm is not None:
            llm.close()


def look_ahead(run: Run, service: "Service") -> dict[str, object]:
    """Open the index now, so that the first question need not wait; a missing one is a warning.

    Raises:
        ConfigError: the retriever cannot be followed.
    """
    from rag_app.serve.asked import Asked

    try:
        about = service.about()
        service.retrieve(Asked("a"))
    except ConfigError:
        raise
    except RagAppError as error:
        run.warn(f"nothing can be asked yet: {error}")
        return {"index": None, "model": None, "chunks": 0}
    return {name: about[name] for name in ("index", "model", "chunks")}


def _language_model(settings: "Settings") -> "ChatModel | None":
    """The language model, where it has something to do: a small local one is not to answer."""
    from rag_app.cli.given import retrieval_of
    from rag_app.llm.choose import open_language_model

    options = language_model_of(settings)
    needed = options.named or options.asks_endpoint or retrieval_of(settings).asks_model
    return open_language_model(options) if needed else None
