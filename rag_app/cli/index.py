"""`index`: which indexes there are, and which one is in service."""

from typing import Annotated

import typer

from rag_app.cli.given import workspace_of
from rag_app.cli.run import Run, command, table

index_app = typer.Typer(help="List indexes, switch, roll back, remove.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of an index.")]
ChromaUrl = Annotated[str | None, typer.Option(help="A Chroma server.")]


@index_app.command("list")
@command
def list_indexes(run: Run, chroma_url: ChromaUrl = None) -> None:
    """Show every index, what made it, and which one is in service."""

    settings = run.settings(chroma_url=chroma_url)
    catalog = workspace_of(settings).catalog
    active = catalog.active.current()
    rows = []
    for name in catalog.names():
        index = catalog.open(name)
        documents = len({record.document_id for record in index.records()})
        rows.append((index, documents))
    headers = ("index", "model", "chunk size", "documents", "chunks", "in service")
    run.out.print(
        table(
            headers,
            [
                (
                    index.name,
                    index.info.model,
                    f"{index.info.chunk_size}/{index.info.chunk_overlap}",
                    str(documents),
                    str(index.count()),
                    "yes" if index.name == active else "",
                )
                for index, documents in rows
            ],
        )
        if rows
        else "no index yet; run `rag-app ingest PATH`"
    )
    run.result(
        {
            "active": active,
            "indexes": [
                {
                    "name": index.name,
                    **index.info.to_metadata(),
                    "documents": documents,
                    "chunks": index.count(),
                }
                for index, documents in rows
            ],
        }
    )


@index_app.command("use")
@command
def use_index(run: Run, name: Name, chroma_url: ChromaUrl = None) -> None:
    """Put an index into service."""

    settings = run.settings(chroma_url=chroma_url)
    catalog = workspace_of(settings).catalog
    catalog.active.use(catalog.open(name).name)
    run.out.print(f"{name} is in service; `rag-app index rollback` takes it back")
    run.result({"active": name})


@index_app.command("rollback")
@command
def rollback_index(run: Run) -> None:
    """Put the index that was in service before back into service."""
    from rag_app.index import Catalog

    name = Catalog(run.settings().storage).active.rollback()
    run.out.print(f"{name} is in service again")
    run.result({"active": name})


@index_app.command("remove")
@command
def remove_index(run: Run, name: Name, chroma_url: ChromaUrl = None) -> None:
    """Delete an index that is not in service."""

    settings = run.settings(chroma_url=chroma_url)
    workspace_of(settings).catalog.remove(name)
    run.out.print(f"{name} is removed")
    run.result({"removed": name})
