"""`report`: a finished run as one HTML page and as Markdown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.run import Run, command
from rag_app.cli.runs import WHICH

if TYPE_CHECKING:
    from rag_app.report.write import Written

EXAMPLES = (
    "rag-app report",
    "rag-app report finetune-all-minilm-l6",
    "rag-app report --compare evaluate-before evaluate-after",
)
# Of each name, in that of a folder that two runs share.
LONGEST = 80


@command
def report(
    run: Run,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help=f"{WHICH} [the newest run]",
        ),
    ] = None,
    *,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Two runs on the same questions: paired differences of the second to the first.",
            metavar="RUN RUN",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. [the run's own]")] = None,
) -> None:
    """Write a finished run's report: one HTML page that needs nothing else, and Markdown.

    `finetune`, `sweep` and `evaluate` write theirs when they end.
    """
    from rag_app.errors import ConfigError
    from rag_app.report.stored import find_run
    from rag_app.report.write import write_report

    results = run.settings().results
    if compare is None:
        found = find_run(results, name)
        written = write_report(found.folder, out=out)
        run.result({"run": found.name, **written.to_json()})
    else:
        if name is not None:
            raise ConfigError("--compare takes both runs; leave RUN out")
        written, said = _compare(run, compare, out)
        run.result({"run": said, **written.to_json()})
    run.say(f"report: {written.html}")
    run.say(f"for a pull request: {written.markdown}")


def _compare(run: Run, names: tuple[str, str], out: Path | None) -> "tuple[Written, str]":
    from rag_app.report.stored import find_run
    from rag_app.report.write import write_comparison

    results = run.settings().results
    first, second = (find_run(results, name) for name in names)
    both = f"compare-{first.name[:LONGEST]}-{second.name[:LONGEST]}"
    written = write_comparison(first, second, out or results / both, progress=run.progress)
    return written, f"{first.name}, {second.name}"


def report_on(run: Run, folder: Path) -> dict[str, str | None]:
    """Write the report of a run that has just ended, and say where it is.

    A report that cannot be written costs no result: it is a warning.
    """
    from rag_app.errors import RagAppError
    from rag_app.report.write import write_report

    try:
        written = write_report(folder, command=run.command_line)
    except (RagAppError, OSError) as error:
        run.warn(f"no report was written: {error}")
        return {"report": None}
    run.say(f"report: {written.html}")
    return {"report": str(written.html)}
