"""`index`: which indexes there are, and which one is in service."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.run import Run, command, table

if TYPE_CHECKING:
    from rag_app.index import VectorIndex

index_app = typer.Typer(help="List indexes, switch, roll back, remove.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of an index.")]
ChromaUrl = Annotated[str | None, typer.Option(help="A Chroma server.")]


@index_app.command("list")
@command
def list_indexes(run: Run, chroma_url: ChromaUrl = None) -> None:
    """Show every index, what made it, and which one is in service."""
    from rag_app.index import Catalog

    settings = run.settings(chroma_url=chroma_url)
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    active = catalog.active.current()
    listed = catalog.listed()
    ready = [_described(one.index) for one in listed if one.index is not None]
    others = [one for one in listed if one.index is None]
    headers = ("index", "model", "chunk size", "documents", "chunks", "in service")
    rows = [
        (
            one["name"],
            one["model"],
            f"{one['chunk_size']}/{one['chunk_overlap']}",
            str(one["documents"]),
            str(one["chunks"]),
            "yes" if one["name"] == active else "",
        )
        for one in ready
    ]
    rows += [(one.name, "", "", "", "", one.state.value) for one in others]
    run.out.print(table(headers, rows) if rows else "no index yet; run `rag-app ingest PATH`")
    for one in others:
        run.note(one.mend)
    result: dict[str, Any] = {"active": active, "indexes": ready}
    if others:
        result["unusable"] = [
            {"name": one.name, "state": one.state.value, "mend": one.mend} for one in others
        ]
    run.result(result)


def _described(index: "VectorIndex") -> dict[str, Any]:
    documents = {record.document_id for record in index.records()}
    return {
        "name": index.name,
        **index.info.to_metadata(),
        "documents": len(documents),
        "chunks": index.count(),
    }


@index_app.command("use")
@command
def use_index(run: Run, name: Name, chroma_url: ChromaUrl = None) -> None:
    """Put an index into service."""
    from rag_app.index import Catalog

    settings = run.settings(chroma_url=chroma_url)
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    catalog.put_into_service(catalog.open(name).name)
    run.out.print(f"{name} is in service; `rag-app index rollback` takes it back")
    run.result({"active": name})


@index_app.command("rollback")
@command
def rollback_index(run: Run, chroma_url: ChromaUrl = None) -> None:
    """Put the index that was in service before back into service."""
    from rag_app.index import Catalog

    settings = run.settings(chroma_url=chroma_url)
    name = Catalog(settings.storage, chroma_url=settings.chroma_url).active.rollback()
    run.out.print(f"{name} is in service again")
    run.result({"active": name})


@index_app.command("remove")
@command
def remove_index(run: Run, name: Name, chroma_url: ChromaUrl = None) -> None:
    """Delete an index that is not in service."""
    from rag_app.index import Catalog

    settings = run.settings(chroma_url=chroma_url)
    Catalog(settings.storage, chroma_url=settings.chroma_url).remove(name)
    run.out.print(f"{name} is removed")
    run.result({"removed": name})
