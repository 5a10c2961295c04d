"""The table of commands."""

import typer

from rag_app.cli.evaluate import evaluate
from rag_app.cli.finetune import finetune
from rag_app.cli.index import index_app
from rag_app.cli.ingest import ingest
from rag_app.cli.query import query
from rag_app.cli.questions import questions
from rag_app.cli.sweep import sweep


def build_app() -> typer.Typer:
    """All commands; none of them imports a heavy library before it runs."""
    app = typer.Typer(
        help="Tune retrieval on your own documents, and know whether it helped.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for function in (ingest, questions, finetune, evaluate, sweep, query):
        app.command()(function)
    app.add_typer(index_app, name="index")
    return app
