"""`query`: ask once, or in a REPL."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.answers import show_answer, show_head, show_judgement, streamed
from rag_app.cli.explain import show_trace
from rag_app.cli.flags import (
    LANGUAGE_MODEL,
    SEARCH,
    FetchK,
    Llm,
    LlmBaseUrl,
    LlmModel,
    Rewrites,
    Today,
    Where,
)
from rag_app.cli.given import language_model_of, retrieval_of, workspace_of
from rag_app.cli.retrieval import make_tools, read_day
from rag_app.cli.run import Run, command
from rag_app.cli.scores import figure
from rag_app.errors import ConfigError, RagAppError

if TYPE_CHECKING:
    from rag_app.query.session import Session


EXAMPLES = (
    "rag-app query",
    'rag-app query -q "how long do refunds take"',
    'rag-app query -q "환불은 며칠 걸리나요" --retriever hybrid:0.7 --k 3 --full',
)
LEAVE = ("exit", "quit", "/exit", "/quit")


@command
def query(
    run: Run,
    question: Annotated[
        str | None, typer.Option("-q", "--question", help="Ask this question once, without a REPL.")
    ] = None,
    top_k: Annotated[int | None, typer.Option("--k", help="Passages to show. [5]")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Show passages whole instead of excerpts.")
    ] = False,
    retriever: Annotated[
        str | None,
        typer.Option(
            help="vector, keyword (BM25) or hybrid:0.7, with steps such as +questions (those the "
            "passages are known to answer), +latest, +multi_query, +hyde, +window:1, +parent:4, "
            "+rerank:NAME. [vector+questions]"
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(help="Index to ask: a name, its beginning, base or tuned. [in service]"),
    ] = None,
    where: Where = None,
    recency: Annotated[
        str | None,
        typer.Option(
            help="Prefer newer documents: latest, cutoff 365d or half-life 90d.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(help="Cross-encoder that reranks: a name or folder.", rich_help_panel=SEARCH),
    ] = None,
    fetch_k: FetchK = None,
    today: Today = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Embedding model; must be the one that made the index.", rich_help_panel=SEARCH
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show each retrieval step and its scores.", rich_help_panel=SEARCH
        ),
    ] = False,
    llm: Llm = None,
    llm_base_url: LlmBaseUrl = None,
    llm_model: LlmModel = None,
    rewrite: Annotated[
        str | None,
        typer.Option(
            help="Rewrite the question with the language model: multi_query or hyde.",
            rich_help_panel=LANGUAGE_MODEL,
        ),
    ] = None,
    rewrites: Rewrites = None,
    judge: Annotated[
        bool,
        typer.Option(
            "--judge",
            help="Have the language model judge faithfulness and relevance.",
            rich_help_panel=LANGUAGE_MODEL,
        ),
    ] = False,
) -> None:
    """Ask your documents: passages with their places, and an answer with checked citations where
    there is a language model."""
    settings = run.settings(
        top_k=top_k,
        model=model,
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        retriever=retriever,
        where=where,
        fetch_k=fetch_k,
        rewrites=rewrites,
        today=read_day(today),
    )
    from rag_app.answer.judge import able_judge
    from rag_app.llm.choose import open_language_model
    from rag_app.query.session import Session

    rerank = rerank and f"rerank:{rerank}"
    steps = [step for step in (rewrite, rerank, recency) if step]
    retrieval = retrieval_of(settings)
    retrieval = retrieval.with_spec("+".join([retrieval.spec, *steps]))
    workspace = replace(workspace_of(settings), without_torch=True)
    opened = workspace.open(index, model=settings.model)
    writer = language_model_of(settings)
    # One that has nothing to do would take longer to load than the question takes.
    idle = question is not None and not (judge or retrieval.asks_model or writer.may_answer)
    chat = None if idle else open_language_model(writer)
    try:
        if judge:
            able_judge(chat)
        session = Session(
            workspace=workspace,
            index=opened.index,
            model=opened.model,
            llm=chat,
            top_k=settings.top_k,
            retrieval=retrieval,
            tools=make_tools(settings, chat),
            draft=writer.named,
        )
        session.retriever()
        asking = _Asking(run, session, judge=judge, explain=explain, full=full)
        if question is not None:
            asking.ask(question)
        else:
            session.turns = []
            _converse(asking, settings.storage / "history")
    finally:
        if chat is not None:
            chat.close()


@dataclass(frozen=True)
class _Asking:
    """A session, and what is shown of each answer."""

    run: Run
    session: "Session"
    judge: bool
    explain: bool
    full: bool

    def ask(self, question: str) -> None:
        """Ask and print."""
        from rag_app.answer.judge import judge
        from rag_app.cli.excerpt import excerpts

        run, session = self.run, self.session
        with streamed(run) as on_text:
            found = session.ask(question, on_text=on_text, tell=run.say)
        weak = session.weak_match()
        if weak is not None:
            run.say(
                f"no passage is near the question (cosine {figure(weak[0])}; passages of "
                f"different documents here reach {figure(weak[1])}); the documents may not "
                "answer it",
                label="weak match:",
            )
        shorten = None if self.full else partial(excerpts, model=session.model)
        show_answer(run, found, nothing=session.why_nothing(), excerpts=shorten)
        values = found.to_json()
        if self.judge:
            judgement = judge(found, session.llm)
            show_judgement(run, judgement)
            values["judgement"] = judgement.to_json()
        if self.explain and session.trace is not None:
            show_trace(run, session)
            values["trace"] = session.trace.to_json([one.chunk for one in found.citations])
        run.result(values)


def _converse(asking: _Asking, history: Path) -> None:
    run, session = asking.run, asking.session
    run.note(
        f"index {session.index.name}, {session.index.count()} chunks, {session.model.name}; "
        f"language model: {_language_model(session)}; /help shows commands"
    )
    for line in _lines(history):
        if line.strip() in LEAVE:
            return
        try:
            _obey(asking, line)
        except RagAppError as error:
            run.fail(error)
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            run.note("stopped; the question is forgotten")


def _language_model(session: "Session") -> str:
    if session.llm is None:
        return "none"
    if session.writer is None:
        return f"{session.llm.name}, too small to answer (--llm local lets it)"
    return session.llm.name


def _obey(asking: _Asking, line: str) -> None:
    word, _, rest = line.strip().partition(" ")
    if word in COMMANDS:
        COMMANDS[word](asking.run, asking.session, rest.strip())
    elif word.startswith("/"):
        raise ConfigError(f"there is no command {word}; known: {', '.join([*COMMANDS, '/quit'])}")
    elif word:
        asking.ask(line)


def _lines(history: Path) -> Iterator[str]:
    """Lines that are typed, or piped in. Ctrl-C clears the line, Ctrl-D ends."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory

    prompt: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)),
        completer=WordCompleter([*COMMANDS, "/quit"], sentence=True),
        complete_while_typing=False,
    )
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
        run.say(f"{name:<12}{(function.__doc__ or '').strip()}")
    run.say(f"{'/quit':<12}Leave; so do exit, quit and Ctrl-D.")


def _set_k(run: Run, session: "Session", value: str) -> None:
    """Show how many passages are shown; /k 10 shows ten."""
    if not value:
        run.say(f"{session.top_k} passages; /k N shows another number")
        return
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value) <= 100:
        raise ConfigError(f"/k takes a number from 1 to 100, not {value!r}")
    session.top_k = int(value)
    run.say(f"{value} passages from now on")


def _switch(run: Run, session: "Session", name: str) -> None:
    """Show the indexes and their models; /model NAME asks another one."""
    if name:
        session.switch(name)
    for known in session.workspace.catalog.names():
        mark = "*" if known == session.index.name else " "
        run.say(f"{mark} {known}")


def _sources(run: Run, session: "Session", _: str) -> None:
    """Show the last passages whole."""
    if session.last is None:
        run.say("nothing was asked yet")
        return
    for citation in session.last.citations:
        show_head(run, citation)
        run.say(f"{citation.path}\n{citation.text}\n")


def _forget(run: Run, session: "Session", _: str) -> None:
    """Forget the conversation: the next question stands alone."""
    session.turns = []
    run.say("forgotten; the next question stands alone")


def _why(run: Run, session: "Session", _: str) -> None:
    """Say how the last passages were found."""
    show_trace(run, session)


def _retriever(run: Run, session: "Session", spec: str) -> None:
    """Show how passages are found; /retriever hybrid:0.7+latest finds them so."""
    if spec:
        session.retrieve_by(session.retrieval.with_spec(spec))
    run.say(session.retrieval.spec)


def _where(run: Run, session: "Session", text: str) -> None:
    """Show the filter; /where date >= 2024 sets one, /where off takes it away."""
    if text:
        where = None if text == "off" else text
        session.retrieve_by(replace(session.retrieval, where=where))
    run.say(session.retrieval.where or "no filter")


COMMANDS: dict[str, Callable[[Run, "Session", str], None]] = {
    "/k": _set_k,
    "/model": _switch,
    "/sources": _sources,
    "/why": _why,
    "/retriever": _retriever,
    "/where": _where,
    "/forget": _forget,
    "/help": _help,
}
