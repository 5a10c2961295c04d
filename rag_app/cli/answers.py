"""Answers on a terminal: as they are written, then as they were checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rag_app.cli.run import Run
from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer, Citation
    from rag_app.answer.judge import Judgement
    from rag_app.cli.excerpt import Excerpt

# Characters of a passage beside an answer.
SNIPPET = 300

# Question, passages -> an excerpt of each.
Excerpts = Callable[[str, Sequence[str]], "list[Excerpt]"]


@contextmanager
def streamed(run: Run) -> Iterator[Callable[[str], None] | None]:
    """Shows on a terminal, dim, what the model writes; takes it away again when the block ends.

    The checked answer follows in its place, so nothing is read twice. None on a pipe and with
    --json: only what was checked goes there.
    """
    if run.as_json or not run.out.is_terminal:
        yield None
        return
    from rich.live import Live
    from rich.text import Text

    text = Text(style="dim")
    with Live(text, console=run.out, transient=True, auto_refresh=False) as live:

        def on_text(piece: str) -> None:
            text.append(visible(piece))
            live.refresh()

        yield on_text


def show_answer(run: Run, found: "Answer", *, nothing: str, excerpts: "Excerpts | None") -> None:
    """Print an answer, what its check found, and the passages.

    Arguments:
        nothing: why there is no passage, if there is none.
        excerpts: shortens the passages where no model answers; None shows them whole.
    """
    if found.text is not None:
        run.say(f"\n{found.text}\n")
        _show_findings(run, found)
        if run.as_json:
            return
    elif found.citations:
        shortened = (
            "excerpts of the passages (whole with --full, or /sources in the REPL)"
            if excerpts
            else "the passages"
        )
        run.say(f"\nno language model answers, so here are {shortened}:")
    if not found.citations:
        run.say(f"nothing found: {nothing}")
    elif found.text is None and excerpts is not None:
        _show_excerpts(run, found, excerpts)
    else:
        _show_passages(run, found)


def _show_passages(run: Run, found: "Answer") -> None:
    for citation in found.citations:
        show_head(run, citation)
        if found.text is None:
            lines = filter(
                str.strip, f"{citation.table_header or ''}\n{citation.text}".splitlines()
            )
            run.say("\n".join(f"    {line}" for line in lines))
        else:
            snippet = " ".join(citation.text.split())
            run.say(f"    {snippet if len(snippet) <= SNIPPET else snippet[:SNIPPET] + ' …'}")


def _show_excerpts(run: Run, found: "Answer", excerpts: "Excerpts") -> None:
    """The sentence that is nearest to the question is bold."""
    texts = [visible(citation.text) for citation in found.citations]
    for citation, part in zip(found.citations, excerpts(found.asked, texts), strict=True):
        show_head(run, citation)
        if citation.table_header:
            run.say(f"    {citation.table_header.splitlines()[0]}")
        before = f"    {part.before}"
        marked = (len(before), len(before) + len(part.sentence))
        run.say_marked(f"{before}{part.sentence}{part.after}", marked=marked)


def head(citation: "Citation") -> str:
    """A passage's number, score, title and place, on one line."""
    page = f", {citation.pages}" if citation.pages else ""
    date = f", {citation.date}" if citation.date else ""
    place = f"{citation.document}{page}, characters {citation.start}-{citation.end}{date}"
    title = f"{citation.title}  " if citation.title else ""
    return f"[{citation.n}] {citation.score:.3f}  {title}({place})"


def show_head(run: Run, citation: "Citation") -> None:
    """Print a passage's head, on a terminal a link to its file, and its nearest known question."""
    link = f" link {citation.uri}" if citation.uri else ""
    run.say(head(citation), style=f"bold{link}", hang=4)
    if citation.question is not None:
        run.say(f"    {known_question(citation.question)}", hang=4)


def known_question(question: "Mapping[str, Any]") -> str:
    """A question that a passage is known to answer, shortened, and where it stands."""
    text = " ".join(visible(question["text"]).split())
    shown = text if len(text) <= SNIPPET else text[:SNIPPET] + " …"
    return f'question: "{shown}"  ({question["place"]})'


def show_judgement(run: Run, judgement: "Judgement") -> None:
    """Print what the language model says of an answer."""
    words = {True: "yes", False: "no", None: "no verdict"}
    ratio = judgement.support_ratio
    supported = "nothing to check" if ratio is None else f"{ratio:.0%} of the sentences"
    run.say(
        f"judged by {judgement.model}: faithful to the passages: {words[judgement.faithful]}; "
        f"in line with the question: {words[judgement.relevant]}; supported: {supported}"
    )


def _show_findings(run: Run, found: "Answer") -> None:
    findings = {"no passage supports:": found.unsupported, "no passage says:": found.misquoted}
    for finding, texts in findings.items():
        for text in texts:
            run.say(text, label=finding)
    if found.draft:
        run.say(
            "read the passages",
            label=f"a draft by {found.model}, a small model that is often wrong:",
        )
