"""A run's folder -> report.html and report.md beside its summary."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_app.disk import write_whole
from rag_app.progress import Progress, silent
from rag_app.report.blocks import Report
from rag_app.report.comparing import report_of_two
from rag_app.report.evaluating import report_of_evaluate
from rag_app.report.html import as_html
from rag_app.report.markdown import as_markdown
from rag_app.report.stored import COMMAND_FILE, StoredRun, read_run
from rag_app.report.sweeping import report_of_sweep
from rag_app.report.tuning import report_of_finetune

HTML_FILE, MARKDOWN_FILE = "report.html", "report.md"
REPORTS: dict[str, Callable[[StoredRun, Any], Report]] = {
    "finetune": report_of_finetune,
    "sweep": report_of_sweep,
    "evaluate": report_of_evaluate,
}


@dataclass(frozen=True)
class Written:
    """Where a report stands."""

    html: Path
    markdown: Path

    def to_json(self) -> dict[str, str]:
        """What `--json` prints of it."""
        return {"html": str(self.html), "markdown": str(self.markdown)}


def write_report(folder: Path, *, command: str = "", out: Path | None = None) -> Written:
    """Make the report of a finished run from its files.

    Arguments:
        folder: of the run.
        command: that made it; kept with it, where it is given.
        out: folder to write to; the run's own unless named.
    Raises:
        RunError, StorageError: files of the run are missing or damaged, or cannot be written.
    """
    if command:
        write_whole(folder / COMMAND_FILE, command + "\n")
    run = read_run(folder)
    return _write(REPORTS[run.kind](run, run.values), out or folder)


def write_comparison(
    first: StoredRun, second: StoredRun, out: Path, *, progress: Progress = silent
) -> Written:
    """Make the report of two runs on the same questions, the second against the first.

    Raises:
        RunError, StorageError: as `write_report`; RunError: they asked different questions.
    """
    return _write(report_of_two(first, second, progress=progress), out)


def _write(report: Report, folder: Path) -> Written:
    folder.mkdir(parents=True, exist_ok=True)
    written = Written(folder / HTML_FILE, folder / MARKDOWN_FILE)
    write_whole(written.html, as_html(report))
    write_whole(written.markdown, as_markdown(report))
    return written
