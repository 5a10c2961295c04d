"""The commands of the REPL: one table, which /help prints and Tab completes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.cli.answers import show_head
from rag_app.cli.asking import Asking
from rag_app.cli.explain import show_trace
from rag_app.errors import ConfigError

if TYPE_CHECKING:
    from rag_app.pairs.feedback import Verdict
    from rag_app.query.session import Session

LEAVE = ("exit", "quit", "/exit", "/quit")
MOST_PASSAGES = 100
# What a retriever usually begins with, to choose from.
RETRIEVERS = (
    "index",
    "vector+questions",
    "vector",
    "keyword+questions",
    "hybrid:0.7+questions",
    "hybrid:equal+questions",
)


@dataclass(frozen=True)
class Command:
    """A command of the REPL.

    Fields:
        do: obeys it; takes what stands after its name.
        choices: what may stand there, to choose from.
    """

    do: Callable[[Asking, str], None]
    choices: "Callable[[Session], Iterable[str]]" = lambda _: ()

    @property
    def meaning(self) -> str:
        """What it does, on one line."""
        return (self.do.__doc__ or "").strip()


def _help(asking: Asking, _: str) -> None:
    """Show this."""
    for name, command in COMMANDS.items():
        asking.run.say(f"{name:<12}{command.meaning}", hang=12)
    asking.run.say(f"{'/quit':<12}Leave; so do exit, quit and Ctrl-D.")


def _set_k(asking: Asking, value: str) -> None:
    """Show how many passages are shown; /k 10 shows ten."""
    run, session = asking.run, asking.session
    if not value:
        run.say(f"{session.top_k} passages; /k N shows another number")
        return
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value) <= MOST_PASSAGES:
        raise ConfigError(f"/k takes a number from 1 to {MOST_PASSAGES}, not {value!r}")
    session.top_k = int(value)
    run.say(f"{value} passages from now on")


def _model(asking: Asking, name: str) -> None:
    """Show the indexes; /model tuned asks another, and shows the last question in both."""
    from rag_app.cli.repl.comparison import Found, show_both

    run, session = asking.run, asking.session
    said, index, model, last = run.lines_said, session.index, session.model, session.last
    if name:
        session.switch(name)
    for known in session.workspace.catalog.names():
        run.say(f"{'*' if known == session.index.name else ' '} {known}")
    # A program that reads JSON gets one object for each question.
    if last is None or session.index.name == index.name or run.as_json:
        return
    former = Found(index.name, index.info, model, last)
    found = session.ask_again(tell=run.say)
    now = Found(session.index.name, session.index.info, session.model, found)
    show_both(run, former, now, lines_used=run.lines_said - said)


def _open(asking: Asking, value: str) -> None:
    """/open 2 shows passage 2 of the last answer in its document."""
    from rag_app.cli.repl.opened import show_opened

    number = _number("/open", value)
    opened = asking.session.open(number)
    show_opened(asking.run, asking.session.passage(number), opened)


def _sources(asking: Asking, _: str) -> None:
    """Show the last passages whole."""
    run, session = asking.run, asking.session
    if session.last is None:
        run.say("nothing was asked yet")
        return
    for citation in session.last.citations:
        show_head(run, citation)
        run.say(f"{citation.path}\n{citation.text}\n")


def _why(asking: Asking, _: str) -> None:
    """Say how the last passages were found."""
    show_trace(asking.run, asking.session)


def _retriever(asking: Asking, spec: str) -> None:
    """Show how passages are found; /retriever hybrid:0.7+latest finds them so."""
    session = asking.session
    if spec:
        session.retrieve_by(session.retrieval.with_spec(spec))
    kept = "" if session.way == session.retrieval else " (kept with the index)"
    asking.run.say(f"{session.way.spec}{kept}")


def _where(asking: Asking, text: str) -> None:
    """Show the filter; /where date >= 2024 sets one, /where off takes it away."""
    session = asking.session
    if text:
        where = None if text == "off" else text
        session.retrieve_by(replace(session.retrieval, where=where))
    asking.run.say(session.retrieval.where or "no filter")


def _good(asking: Asking, value: str) -> None:
    """Keep that passage 1, or those that the answer cites, answer; /good 2: passage 2."""
    _judge(asking, _judged(asking, "/good", value), "good")


def _bad(asking: Asking, value: str) -> None:
    """Keep that they do not answer."""
    _judge(asking, _judged(asking, "/bad", value), "bad")


def _right(asking: Asking, value: str) -> None:
    """/right 3 keeps that passage 3 is the right one."""
    _judge(asking, [_number("/right", value)], "right")


def _judged(asking: Asking, command: str, value: str) -> list[int]:
    """The passages that a judgement is about, by their numbers."""
    if value:
        return [_number(command, value)]
    last = asking.session.last
    return list(last.cited) if last is not None and last.cited else [1]


def _judge(asking: Asking, numbers: Iterable[int], verdict: "Verdict") -> None:
    from rag_app.pairs.feedback import pairs_file
    from rag_app.text.counts import counted

    session, pairs = asking.session, 0
    for number in numbers:
        pairs = session.judge(number, verdict)
        says = "does not answer" if verdict == "bad" else "answers"
        asked = session.last.asked if session.last else ""
        asking.run.say(f"kept: {session.passage(number).document} {says} {asked!r}", hang=4)
    asking.run.say(
        f"{counted(pairs, 'labelled pair')} in {pairs_file(session.workspace.storage)}; "
        "`rag-app finetune --pairs feedback` trains on them",
        hang=4,
    )


def _save(asking: Asking, value: str) -> None:
    """/save talk.md writes questions, answers and citations as Markdown."""
    from rag_app.disk import refuse_unwritable, write_whole
    from rag_app.query.transcript import as_markdown
    from rag_app.text.counts import counted

    session = asking.session
    if not value:
        raise ConfigError("/save takes a file: /save talk.md")
    if not session.exchanges:
        raise ConfigError("nothing was asked yet, so there is nothing to save")
    path = _file(value.strip("\"'"))
    refuse_unwritable(path, is_folder=False)
    if path.exists() and path.read_bytes() != asking.saved.get(path.absolute()):
        raise ConfigError(f"{path} is there already; name another file, or remove it first")
    text = as_markdown(session.exchanges)
    write_whole(path, text)
    asking.saved[path.absolute()] = text.encode()
    asking.run.say(f"{counted(len(session.exchanges), 'answer')} in {path}")


def _forget(asking: Asking, _: str) -> None:
    """Forget the conversation: the next question stands alone."""
    asking.session.turns = []
    asking.run.say("forgotten; the next question stands alone")


def _file(name: str) -> Path:
    if not name.isprintable():
        raise ConfigError(f"/save takes the name of a file, not {name!r}")
    try:
        return Path(name).expanduser()
    except RuntimeError:
        # There is no such user, so that it is a name like others.
        return Path(name)


def _number(command: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        given = f", not {value!r}" if value else ""
        raise ConfigError(
            f"{command} takes the number of a passage of the last answer{given}: {command} 2"
        )
    return int(value)


def _numbers(session: "Session") -> Iterable[str]:
    return [str(one.n) for one in session.last.citations] if session.last else ()


def _names(session: "Session") -> Iterable[str]:
    return ["base", "tuned", *session.workspace.catalog.names()]


COMMANDS = {
    "/k": Command(_set_k),
    "/open": Command(_open, _numbers),
    "/sources": Command(_sources),
    "/good": Command(_good, _numbers),
    "/bad": Command(_bad, _numbers),
    "/right": Command(_right, _numbers),
    "/model": Command(_model, _names),
    "/retriever": Command(_retriever, lambda _: RETRIEVERS),
    "/where": Command(_where),
    "/why": Command(_why),
    "/save": Command(_save),
    "/forget": Command(_forget),
    "/help": Command(_help),
}
