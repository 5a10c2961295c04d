"""Answers on a terminal: as they are written, then as they were checked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rag_app.cli.run import Run, shown

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer, Citation
    from rag_app.answer.judge import Judgement

# Characters of a passage beside an answer. Where the passages are the answer they are shown whole:
# of the English sample's five the first 300 characters hold half of the answers, the whole 8 in 10.
SNIPPET = 300


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

    from rag_app.text.normalise import visible

    text = Text(style="dim")
    with Live(text, console=run.out, transient=True, auto_refresh=False) as live:

        def on_text(piece: str) -> None:
            text.append(visible(piece))
            live.refresh()

        yield on_text


def show_answer(run: Run, found: "Answer", *, nothing: str) -> None:
    """Print an answer, what its check found, and the passages.

    Arguments:
        nothing: why there is no passage, if there is none.
    """
    if found.text is not None:
        run.say(f"\n{found.text}\n")
        _show_findings(run, found)
        if run.as_json:
            return
    elif found.citations:
        run.out.print("\nno language model answers, so here are the passages:")
    if not found.citations:
        run.say(f"nothing found: {nothing}")
    for citation in found.citations:
        run.out.print(f"[bold]{shown(head(citation))}[/bold]", soft_wrap=True)
        if found.text is None:
            lines = filter(str.strip, citation.text.splitlines())
            run.say("\n".join(f"    {line}" for line in lines))
        else:
            snippet = " ".join(citation.text.split())
            run.say(f"    {snippet if len(snippet) <= SNIPPET else snippet[:SNIPPET] + ' …'}")


def head(citation: "Citation") -> str:
    """A passage's number, score, title and place, on one line."""
    page = f", page {citation.page}" if citation.page else ""
    date = f", {citation.date}" if citation.date else ""
    place = f"{citation.document}{page}, characters {citation.start}-{citation.end}{date}"
    title = f"{citation.title}  " if citation.title else ""
    return f"[{citation.n}] {citation.score:.3f}  {title}({place})"


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
            run.out.print(f"[yellow]{finding}[/yellow] {shown(text)}", soft_wrap=True)
    if found.draft:
        run.out.print(
            f"[yellow]a draft by {shown(str(found.model))}, a small model that is often wrong; "
            "read the passages:[/yellow]",
            soft_wrap=True,
        )
