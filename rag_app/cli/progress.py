"""Progress on standard error: a bar on a terminal, a line now and then in a log.

Rich's live displays hide the cursor and write from a thread until they are stopped; nobody tells a
`Progress` that work ended by an error. So its bar is drawn into a line that is written over.
"""

import time
from typing import TYPE_CHECKING

from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SECONDS_BETWEEN_DRAWINGS = 0.1
SECONDS_BETWEEN_LOG_LINES = 10.0
# Columns of a bar; on a terminal that is so narrow that fewer than the least are left, none.
LONGEST_BAR, SHORTEST_BAR = 30, 8
# Columns of a note that still say something.
SHORTEST_NOTE = 8


class ProgressLines:
    """Implements `rag_app.progress.Progress` with the time that is left."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        # When each step that is not at its end began, and what was done then: one may be a part of
        # another.
        self.begun: dict[str, tuple[float, int]] = {}
        self.last_shown = 0.0
        # Columns of the terminal that the bar takes; 0 where none is shown.
        self.drawn = 0

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        if not total:
            self._say(step, note)
            return
        now = time.monotonic()
        begins = step not in self.begun or done < self.begun[step][1]
        if not self.begun:
            self.last_shown = now
        if begins:
            self.begun[step] = now, done
        count = f"{done}/{total}{self._left(step, now, done, total)}"
        # A note is the name of somebody's file.
        note = visible(note).replace("\n", " ")
        if done >= total:
            del self.begun[step]
        if not self.console.is_terminal:
            self._log(now, f"{step} {count}  {note}".rstrip())
        elif done >= total:
            self.clear()
        elif begins or not self.drawn or now - self.last_shown >= SECONDS_BETWEEN_DRAWINGS:
            self.last_shown = now
            self._draw(step, done / total, count, note)

    def clear(self) -> None:
        """Take the bar away: something else is to be written."""
        if self.drawn:
            self.console.file.write(f"\r{' ' * self.drawn}\r")
            self.console.file.flush()
        self.drawn = 0

    def _log(self, now: float, line: str) -> None:
        if now - self.last_shown >= SECONDS_BETWEEN_LOG_LINES:
            self.last_shown = now
            self.console.print(line, markup=False)

    def _draw(self, step: str, share: float, count: str, note: str) -> None:
        """Write over the line: step, bar, count, and the note where there is room."""
        from rich.cells import cell_len
        from rich.text import Text

        # A terminal goes to the next line once its last column is written.
        width = self.console.width - 1
        line = Text(f"{step} ")
        free = width - cell_len(f"{step}  {count}")
        if free >= SHORTEST_BAR:
            line.append_text(self._bar(share, min(free, LONGEST_BAR))).append(" ")
        line.append(count)
        if width - line.cell_len >= SHORTEST_NOTE:
            line.append(f"  {note}")
        line.truncate(width, overflow="ellipsis", pad=True)
        self.console.file.write("\r")
        self.console.print(line, end="", soft_wrap=True)
        self.console.file.flush()
        self.drawn = width

    def _bar(self, share: float, columns: int) -> "Text":
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        bar = ProgressBar(total=1, completed=share, width=columns)
        drawn = Text.assemble(*((part.text, part.style or "") for part in self.console.render(bar)))
        drawn.pad_right(columns - drawn.cell_len)
        return drawn

    def _say(self, step: str, note: str) -> None:
        """A line that stays."""
        from rag_app.cli.printing import print_wrapped

        self.clear()
        # A step that goes on under its name begins its count anew.
        self.begun.clear()
        print_wrapped(self.console, f"{step}  {note}" if note else step, style="bold")

    def _left(self, step: str, now: float, done: int, total: int) -> str:
        started, offset = self.begun[step]
        if done <= offset or done >= total:
            return ""
        seconds = (now - started) / (done - offset) * (total - done)
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
