"""The table of commands."""

from collections.abc import Sequence
from typing import Annotated

import typer

from rag_app.cli import (
    bundle,
    doctor,
    evaluate,
    export,
    finetune,
    index,
    ingest,
    init,
    mcp,
    query,
    questions,
    report,
    runs,
    serve,
    status,
    sweep,
    tune,
)
from rag_app.cli.usage import ReportingGroup

STAGES = (
    tune,
    ingest,
    questions,
    finetune,
    evaluate,
    sweep,
    report,
    query,
    serve,
    mcp,
    status,
    doctor,
    init,
)


def build_app() -> typer.Typer:
    """All commands; none of them imports a heavy library before it runs."""
    app = typer.Typer(
        cls=ReportingGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_main)
    for stage in STAGES:
        name = stage.__name__.rpartition(".")[2]
        app.command(epilog=examples(stage.EXAMPLES))(getattr(stage, name))
    app.add_typer(index.index_app, name="index")
    app.add_typer(runs.runs_app, name="runs")
    app.add_typer(export.export_app, name="export")
    app.add_typer(bundle.bundle_app, name="bundle")
    return app


def examples(lines: Sequence[str]) -> str:
    """Example commands as the last lines of a help page."""
    return "\n\n".join(["Examples:", *lines])


def _version(wanted: bool) -> None:
    if wanted:
        from rag_app import __version__

        typer.echo(f"rag-app {__version__}")
        raise typer.Exit


def _main(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Tune retrieval on your own documents, and know whether it helped."""
