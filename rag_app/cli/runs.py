"""`runs`: what was measured, run by run."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.printing import shown
from rag_app.cli.run import Run, command
from rag_app.cli.tables import TextTable, table

if TYPE_CHECKING:
    from pathlib import Path

    from rag_app.evaluate.statistics import Estimate
    from rag_app.report.stored import StoredRun

runs_app = typer.Typer(help="List finished runs, show one, compare two.", no_args_is_help=True)

WHICH = (
    "Name of a run, a beginning that no other has, its folder, or its kind (finetune, sweep, "
    "evaluate): the newest of it."
)
Name = Annotated[str, typer.Argument(help=WHICH)]
METRIC = "mrr@10"


@runs_app.command("list", epilog="Example:\n\nrag-app runs list")
@command
def list_runs(run: Run) -> None:
    """Show every finished run, the newest first: what it was, its score, its verdict."""
    from rag_app.errors import RunError
    from rag_app.report.brief import summary_lines

    results = run.settings().results
    rows = [
        {"name": folder.name, "problem": str(line)} if isinstance(line, RunError) else line
        for folder, line in summary_lines(results)
    ]
    whole = [row for row in rows if "problem" not in row]
    if whole:
        run.out.print(_table(whole), "")
    for row in rows:
        if "problem" in row:
            run.warn(f"{row['name']}: {row['problem']}")
    if not rows:
        run.say(
            f"no finished run in {results}; `rag-app finetune`, `rag-app sweep` and "
            "`rag-app evaluate FILE` make some"
        )
    run.result({"runs": rows})


def _table(rows: list[dict[str, Any]]) -> TextTable:
    from rag_app.cli.scores import figure

    lines = [
        (
            shown(row["name"]),
            row["kind"],
            row["made"],
            str(row["n"]),
            "" if row[METRIC] is None else figure(row[METRIC]),
            row["verdict"] or "",
        )
        for row in rows
    ]
    heads = ("run", "kind", "made", "questions", "MRR@10", "verdict")
    return table(heads, lines, least=("kind", "questions", "made", "verdict"))


@runs_app.command("show", epilog="Example:\n\nrag-app runs show finetune-all-minilm-l6")
@command
def show_run(run: Run, name: Name) -> None:
    """Show what a run came to, its scores and its settings."""
    from dataclasses import asdict

    from rag_app.report.brief import brief, made_at, summary_line

    one = _found(run, name)
    said = brief(one)
    run.say(f"{one.name}: {one.kind}, {made_at(one)}")
    if said.sentence:
        run.say(f"{said.verdict}: {said.sentence}" if said.verdict else said.sentence, style="bold")
    run.out.print(_scores(said.scores, said.n), "")
    for key, value in said.settings.items():
        run.say(f"{key} = {value}")
    if one.command:
        run.say(f"to repeat it: {one.command}")
    run.say(f"files: {one.folder}")
    run.result(
        {
            **summary_line(one),
            "sentence": said.sentence or None,
            "scores": {metric: asdict(score) for metric, score in said.scores.items()},
            "settings": said.settings,
            "command": one.command or None,
            "folder": str(one.folder),
        }
    )


def _scores(scores: "dict[str, Estimate]", n: int) -> TextTable:
    from rag_app.cli.scores import cell, head

    rows = [(head(metric), cell(score)) for metric, score in scores.items()]
    return table(("metric", "mean [95 % interval]"), rows, title=f"{n} questions")


@runs_app.command(
    "diff", epilog="Example:\n\nrag-app runs diff finetune-all-minilm-l6-a finetune-all-minilm-l6-b"
)
@command
def diff_runs(run: Run, first: Name, second: Name) -> None:
    """Show in which settings two runs differ and, on the same questions, by how much in scores."""
    from dataclasses import asdict

    from rag_app.cli.scores import comparison_table
    from rag_app.errors import RunError
    from rag_app.report.brief import settings_apart
    from rag_app.report.comparing import compare_runs

    one, other = (_found(run, name) for name in (first, second))
    apart = settings_apart(one, other)
    if apart:
        heads, rows = ("setting", "first", "second"), [tuple(map(shown, line)) for line in apart]
        run.out.print(table(heads, rows, flowing=heads[1:]), "")
    else:
        run.say("no setting differs")
    result: dict[str, Any] = {
        "runs": [one.name, other.name],
        "settings": [{"name": n, "first": a, "second": b} for n, a, b in apart],
        "differences": None,
        "not_compared": None,
    }
    try:
        found = compare_runs(one, other, progress=run.progress)
    except RunError as error:
        run.say(str(error))
        result["not_compared"] = str(error)
    else:
        title = f"{found.n} questions (base: {one.name}, tuned: {other.name})"
        run.out.print(comparison_table(found, title=shown(title)), "")
        run.say(str(found.verdict), style="bold")
        result["differences"] = {name: asdict(each) for name, each in found.differences.items()}
    run.result(result)


def _found(run: Run, name: str) -> "StoredRun":
    from rag_app.report.stored import find_run

    results: Path = run.settings().results
    return find_run(results, name)
