"""Progress on standard error: a live line on a terminal, a line now and then in a log."""

import time
from typing import TYPE_CHECKING

from rag_app.text.normalise import visible

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN_LOG_LINES = 10.0


class ProgressLines:
    """Implements `rag_app.progress.Progress` with the time that is left."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self.step = ""
        self.started = 0.0
        self.offset = 0
        self.last_line = 0.0

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        if not total:
            self._say(step, note)
            return
        now = time.monotonic()
        if step != self.step or done < self.offset:
            self.step, self.started, self.offset, self.last_line = step, now, done, now
        line = f"{step} {done}/{total}{self._left(now, done, total)}{'  ' + note if note else ''}"
        # A note is the name of somebody's file.
        line = visible(line).replace("\n", " ")
        if self.console.is_terminal:
            from rich.cells import set_cell_size

            width = self.console.width - 1
            self.console.file.write("\r" + set_cell_size(line, width))
            if done >= total:
                self.console.file.write("\r" + " " * width + "\r")
            self.console.file.flush()
        elif now - self.last_line >= SECONDS_BETWEEN_LOG_LINES:
            self.last_line = now
            self.console.print(line, markup=False)

    def _say(self, step: str, note: str) -> None:
        """A line that stays."""
        from rag_app.cli.printing import print_wrapped

        # A step that goes on under its name begins its count anew.
        self.step = ""
        print_wrapped(self.console, f"{step}  {note}" if note else step, style="bold")

    def _left(self, now: float, done: int, total: int) -> str:
        if done <= self.offset or done >= total:
            return ""
        seconds = (now - self.started) / (done - self.offset) * (total - done)
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
