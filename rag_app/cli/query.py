"""`query`: ask once, or in a REPL."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.run import Run, command
from rag_app.errors import ConfigError, RagAppError

if TYPE_CHECKING:
    from rag_app.answer import Answer, Citation
    from rag_app.query import Session

SNIPPET = 300


@command
def query(
    run: Run,
    question: Annotated[str | None, typer.Option("-q", "--question", help="Ask once.")] = None,
    top_k: Annotated[int | None, typer.Option("--k", help="Passages to show. [5]")] = None,
    index: Annotated[str | None, typer.Option(help="Index to ask. [in service]")] = None,
    model: Annotated[str | None, typer.Option(help="Must be the index's own model.")] = None,
    llm: Annotated[str | None, typer.Option(help="auto, none, local or endpoint.")] = None,
    llm_base_url: Annotated[str | None, typer.Option(help="OpenAI-compatible, to /v1.")] = None,
    llm_model: Annotated[str | None, typer.Option(help="Its name there, or a GGUF.")] = None,
    chroma_url: Annotated[str | None, typer.Option(help="A Chroma server.")] = None,
) -> None:
    """Ask your documents: passages with their places, and an answer with checked citations where
    there is a language model."""
    settings = run.settings(
        top_k=top_k,
        model=model,
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        chroma_url=chroma_url,
    )
    from rag_app.index import Catalog
    from rag_app.llms import open_language_model
    from rag_app.query import Session, open_with_model

    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    opened, embedding = open_with_model(catalog, settings, index)
    chat = open_language_model(settings)
    try:
        session = Session(catalog, settings, opened, embedding, chat, settings.top_k)
        if question is not None:
            found = session.ask(question)
            show_answer(run, found)
            run.result(found.to_json())
        else:
            _converse(run, session, settings.storage / "history")
    finally:
        if chat is not None:
            chat.close()


def show_answer(run: Run, found: "Answer") -> None:
    """Print an answer and the passages."""
    from rich.markup import escape

    if found.text is not None:
        run.out.print(f"\n{escape(found.text)}\n", soft_wrap=True)
        if found.draft:
            run.out.print(
                f"[yellow]a draft by {escape(str(found.model))}, a small model that is often "
                "wrong; read the passages:[/yellow]\n",
                soft_wrap=True,
            )
        for sentence in found.unsupported:
            run.out.print(
                f"[yellow]no passage supports:[/yellow] {escape(sentence)}", soft_wrap=True
            )
        if run.as_json:
            return
    elif found.citations:
        run.out.print("\nno language model answers, so here are the passages:")
    if not found.citations:
        run.out.print("nothing found; the index is empty")
    for citation in found.citations:
        snippet = " ".join(citation.text.split())
        cut = snippet if len(snippet) <= SNIPPET else snippet[:SNIPPET] + " …"
        run.out.print(f"[bold]{_head(citation)}[/bold]", soft_wrap=True)
        run.out.print(f"    {escape(cut)}", soft_wrap=True)


def _head(citation: "Citation") -> str:
    from rich.markup import escape

    page = f", page {citation.page}" if citation.page else ""
    date = f", {citation.date}" if citation.date else ""
    place = f"{citation.document}{page}, characters {citation.start}-{citation.end}{date}"
    title = f"{citation.title}  " if citation.title else ""
    return escape(f"[{citation.n}] {citation.score:.3f}  {title}({place})")


def _converse(run: Run, session: "Session", history: Path) -> None:
    run.note(
        f"index {session.index.name}, {session.index.count()} chunks, {session.model.name}; "
        f"language model: {session.llm.name if session.llm else 'none'}; /help shows commands"
    )
    for line in _lines(history):
        word, _, rest = line.strip().partition(" ")
        if word in ("/quit", "/exit"):
            return
        try:
            if word in COMMANDS:
                COMMANDS[word](run, session, rest.strip())
            elif word.startswith("/"):
                raise ConfigError(f"there is no command {word}; known: {', '.join(COMMANDS)}")
            elif word:
                found = session.ask(line)
                show_answer(run, found)
                run.result(found.to_json())
        except RagAppError as error:
            run.fail(error)


def _lines(history: Path) -> Iterator[str]:
    """Lines that are typed, or piped in. Ctrl-C clears the line, Ctrl-D ends."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory

    prompt: PromptSession[str] = PromptSession(history=FileHistory(str(history)))
    while True:
        try:
            yield prompt.prompt("ask> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _help(run: Run, _session: "Session", _: str) -> None:
    """Show this."""
    for name, function in COMMANDS.items():
        run.out.print(f"{name:<10}{(function.__doc__ or '').strip()}")
    run.out.print(f"{'/quit':<10}Leave; so does Ctrl-D.")


def _set_k(run: Run, session: "Session", value: str) -> None:
    """Show N passages: /k 10."""
    if not value.isdigit() or not 1 <= int(value) <= 100:
        raise ConfigError(f"/k takes a number from 1 to 100, not {value!r}")
    session.top_k = int(value)
    run.out.print(f"{value} passages from now on")


def _switch(run: Run, session: "Session", name: str) -> None:
    """Show the indexes and their models; /model NAME asks another one."""
    if name:
        session.switch(name)
    for known in session.catalog.names():
        mark = "*" if known == session.index.name else " "
        run.say(f"{mark} {known}")


def _sources(run: Run, session: "Session", _: str) -> None:
    """Show the last passages whole."""
    from rich.markup import escape

    if session.last is None:
        run.say("nothing was asked yet")
        return
    for citation in session.last.citations:
        run.out.print(f"[bold]{_head(citation)}[/bold]", soft_wrap=True)
        run.out.print(escape(f"{citation.path}\n{citation.text}\n"), soft_wrap=True)


def _why(run: Run, session: "Session", _: str) -> None:
    """Say where the last passages came from."""
    if session.last is None:
        run.say("nothing was asked yet")
        return
    run.say(
        f"asked {session.last.question!r} as {session.model.prompts.query!r} + question, "
        f"of {session.index.name} ({session.model.name}, {session.index.count()} chunks)"
    )
    for citation in session.last.citations:
        cited = " cited" if citation.n in session.last.cited else ""
        run.say(
            f"{citation.n}. cosine {citation.score:.4f}  {citation.document} "
            f"characters {citation.start}-{citation.end}{cited}"
        )


COMMANDS: dict[str, Callable[[Run, "Session", str], None]] = {
    "/k": _set_k,
    "/model": _switch,
    "/sources": _sources,
    "/why": _why,
    "/help": _help,
}
