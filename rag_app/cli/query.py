"""`query`: ask once, or in a REPL."""

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.asking import Asking
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
from rag_app.cli.repl.loop import converse
from rag_app.cli.retrieval import make_tools, read_day
from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.llm.chat import ChatModel
    from rag_app.query.session import Session
    from rag_app.retrieve import RetrievalOptions


EXAMPLES = (
    "rag-app query",
    'rag-app query -q "how long do refunds take"',
    'rag-app query -q "환불은 며칠 걸리나요" --retriever hybrid:0.7 --k 3 --full',
)


@command
def query(
    run: Run,
    *,
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
            "+rerank:NAME. [that of the index's verdict, or vector+questions]"
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
    rerank = rerank and f"rerank:{rerank}"
    steps = [step for step in (rewrite, rerank, recency) if step]
    retrieval = retrieval_of(settings)
    retrieval = retrieval.with_spec("+".join([retrieval.spec, *steps]))
    with ExitStack() as stack:
        session = _open_session(run, settings, stack, retrieval, index=index, judge=judge)
        asking = Asking(run, session, judge=judge, explain=explain, full=full)
        if question is not None:
            asking.ask(question)
        else:
            session.turns = []
            _tell_beginning(asking)
            converse(asking, settings.storage / "history")


def _open_session(
    run: Run,
    settings: "Settings",
    stack: ExitStack,
    retrieval: "RetrievalOptions",
    *,
    index: str | None,
    judge: bool,
) -> "Session":
    """An index that can be asked, and the language model where it has something to do.

    One that has nothing to do would take longer to load than a question takes.

    Arguments:
        stack: closes the language model.
    """
    from rag_app.answer.judge import able_judge
    from rag_app.llm.choose import open_language_model
    from rag_app.query.session import Session

    workspace = replace(workspace_of(settings), without_torch=True)
    opened = workspace.open(index, model=settings.model)
    writer = language_model_of(settings)

    def open_llm() -> "ChatModel | None":
        chat = open_language_model(writer)
        return stack.enter_context(chat) if chat is not None else None

    busy = judge or retrieval.asks_model or writer.may_answer
    chat = open_llm() if busy else None
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
        open_llm=None if busy or writer.kind == "none" else open_llm,
        progress=run.progress,
    )
    session.retriever()
    return session


def _tell_beginning(asking: Asking) -> None:
    session = asking.session
    asking.run.note(
        f"index {session.index.name}, {session.index.count()} chunks, {session.model.name}; "
        f"language model: {_language_model(session)}; /help shows commands"
    )


def _language_model(session: "Session") -> str:
    from rag_app.llm.local import installed

    if session.llm is None:
        waits = session.open_llm is not None and installed()
        return "none that answers (--llm local lets the small one)" if waits else "none"
    if session.writer is None:
        return f"{session.llm.name}, too small to answer (--llm local lets it)"
    return session.llm.name
