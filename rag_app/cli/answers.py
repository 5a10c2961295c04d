"""Answers on a terminal: as they are written, then as they were checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_app.cli.excerpt import excerpt
from rag_app.cli.run import Run
from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer, Citation
    from rag_app.answer.evidence import Sentences
    from rag_app.answer.judge import Judgement

INDENT = "    "
# Characters of a known question.
LONGEST_QUESTION = 300
# Lines of a passage on a terminal: its head, and one of its text.
FEWEST_LINES = 2
# Columns that a line leaves free on average where it is broken between words.
RAGGED = 6


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


@dataclass(frozen=True)
class Shown:
    """What is shown of an answer besides itself.

    Fields:
        nothing: why there is no passage, if there is none.
        evidence: the sentence of each passage that is marked; None: the passages are shown whole.
        lines: of a terminal, that answer and passages share; None: as many as they take.
        introduced: whether it was said before what is shown where no model answers.
    """

    nothing: str = ""
    evidence: "Sequence[Sentences] | None" = None
    lines: int | None = None
    introduced: bool = False


def show_answer(run: Run, found: "Answer", shown: Shown) -> None:
    """Print an answer, what its check found, and the passages."""
    before = run.lines_said
    if found.text is not None:
        run.say(f"\n{found.text}\n")
        _show_findings(run, found)
        if run.as_json:
            return
    elif found.citations:
        excerpts = "excerpts of the passages (whole with --full, or /sources in the REPL)"
        what = excerpts if shown.evidence is not None else "the passages"
        run.say("" if shown.introduced else f"\nno language model answers, so here are {what}:")
    if not found.citations:
        run.say(f"nothing found: {shown.nothing}")
    elif shown.evidence is None:
        _show_passages(run, found)
    else:
        left = None if shown.lines is None else shown.lines - (run.lines_said - before)
        _show_excerpts(run, found, shown.evidence, left)


def _show_passages(run: Run, found: "Answer") -> None:
    for citation in found.citations:
        show_head(run, citation)
        lines = filter(str.strip, f"{citation.table_header or ''}\n{citation.text}".splitlines())
        run.say("\n".join(f"    {line}" for line in lines))


def _show_excerpts(
    run: Run, found: "Answer", evidence: "Sequence[Sentences]", left: int | None
) -> None:
    """An excerpt of each passage, its evidence in bold; on a terminal they share its lines.

    Arguments:
        left: lines; what a short passage does not need is left to those after it.
    """
    for citation, sentences in zip(found.citations, evidence, strict=True):
        waiting = len(found.citations) - citation.n + 1
        if left is None:
            _show_excerpt(run, citation, sentences, None)
            continue
        if citation.n > 1 and left < FEWEST_LINES + (waiting > 1):
            run.say(f"{waiting} more; /sources or --full shows all", style="dim", most=1)
            return
        before = run.lines_said
        _show_excerpt(run, citation, sentences, max(left // waiting, FEWEST_LINES))
        left -= run.lines_said - before


def _show_excerpt(
    run: Run, citation: "Citation", sentences: "Sentences", lines: int | None
) -> None:
    """Head, notes and excerpt, within so many lines of a terminal."""
    before, one = run.lines_said, None if lines is None else 1
    run.say(head(citation, width=lines and run.out.width), style="bold", hang=4, most=one)
    for note in _notes(citation)[: None if lines is None else max(lines - 3, 0)]:
        run.say(f"{INDENT}{note}", hang=4, most=one)
    most = cells = None
    if lines is not None:
        most = lines - (run.lines_said - before)
        # A line that is broken between words is not filled to its end.
        cells = most * max(run.out.width - len(INDENT) - RAGGED, RAGGED)
    part = excerpt(visible(citation.text), sentences, cells=cells)
    start = len(INDENT) + len(part.before)
    run.say_marked(
        f"{INDENT}{part.before}{part.sentence}{part.after}",
        marked=(start, start + len(part.sentence)),
        most=most,
    )


def _notes(citation: "Citation") -> list[str]:
    """What stands between a passage's head and its text, a line each."""
    header = [citation.table_header.splitlines()[0]] if citation.table_header else []
    return [*_asked(citation), *header]


def _asked(citation: "Citation") -> list[str]:
    """The nearest known question, unless the passage is called by it."""
    return [known_question(citation.asked)] if citation.asked is not None else []


def head(citation: "Citation", *, width: int | None = None) -> str:
    """A passage's number, score, heading and place, on one line.

    Arguments:
        width: columns; where they are too few, the place is told without its characters.
    """
    from rich.cells import cell_len

    title = f"{citation.heading}  " if citation.heading else ""
    whole, short = (
        f"[{citation.n}] {citation.score:.3f}  {title}({place(citation, characters=characters)})"
        for characters in (True, False)
    )
    return whole if width is None or cell_len(whole) <= width else short


def place(citation: "Citation", document: str = "", *, characters: bool = True) -> str:
    """Where a passage stands: its document, or what that is to be called, pages, and date."""
    span = f"characters {citation.start}-{citation.end}" if characters else ""
    named = document or citation.document
    return ", ".join(filter(None, (named, citation.pages, span, citation.date)))


def show_head(run: Run, citation: "Citation") -> None:
    """Print a passage's head, on a terminal a link to its file, and its nearest known question."""
    link = f" link {citation.uri}" if citation.uri else ""
    run.say(head(citation), style=f"bold{link}", hang=4)
    for line in _asked(citation):
        run.say(f"{INDENT}{line}", hang=4)


def known_question(question: "Mapping[str, Any]") -> str:
    """A question that a passage is known to answer, shortened, and where it stands."""
    text = " ".join(visible(question["text"]).split())
    shown = text if len(text) <= LONGEST_QUESTION else text[:LONGEST_QUESTION] + " …"
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
