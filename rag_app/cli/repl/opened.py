"""A passage in its document, as `/open` shows it."""

from typing import TYPE_CHECKING

from rag_app.cli.answers import place
from rag_app.cli.printing import broken
from rag_app.cli.run import Run
from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rag_app.answer.answer import Citation
    from rag_app.query.opened_passage import OpenedPassage

# Before each line of the passage, and before those around it.
MARK, BESIDE = "> ", "  "
# Lines of a terminal: what was typed, the next prompt, and an ellipsis above and below.
TAKEN = 4
# Lines of the neighbours, however long the passage is.
FEWEST_AROUND = 4


def show_opened(run: Run, citation: "Citation", opened: "OpenedPassage") -> None:
    """Print the passage whole, marked, and of its neighbours what the terminal has room for.

    In a file or pipe all of both neighbours are printed.
    """
    said = run.lines_said
    run.say(f"[{citation.n}] {citation.name}", style="bold", hang=4)
    run.say(place(citation, opened.path), hang=4)
    before, passage, after = (
        _lines(run, text) for text in (opened.before, opened.passage, opened.after)
    )
    free = run.screen_lines(TAKEN + run.lines_said - said + len(passage))
    above, below = _shared(free, len(before), len(after))
    if above < len(before) or not opened.begins:
        run.say(f"{BESIDE}…", style="dim")
    for line in before[len(before) - above :]:
        run.say(BESIDE + line, style="dim")
    for line in passage:
        run.say(MARK + line)
    for line in after[:below]:
        run.say(BESIDE + line, style="dim")
    if below < len(after) or not opened.ends:
        run.say(f"{BESIDE}…", style="dim")


def _lines(run: Run, text: str) -> list[str]:
    """Lines that fit beside a mark, without blank ones at both ends."""
    from rich.text import Text

    lines = visible(text).strip().split("\n") if text.strip() else []
    if not run.out.is_terminal:
        return lines
    width = run.out.width - len(MARK)
    return [part.plain.rstrip() for line in lines for part in broken(Text(line), width)]


def _shared(free: int | None, above: int, below: int) -> tuple[int, int]:
    """Lines before and after a passage, of so many that are free together."""
    if free is None:
        return above, below
    free = max(free, FEWEST_AROUND)
    shown_above = min(above, max(free // 2, free - below))
    return shown_above, min(below, free - shown_above)
