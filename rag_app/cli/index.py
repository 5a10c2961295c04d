"""`index`: which indexes there are, and which one is in service."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.given import workspace_of
from rag_app.cli.printing import shown
from rag_app.cli.run import USER_ERROR, Run, command
from rag_app.cli.tables import TextTable, table

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.index import Catalog, VectorIndex
    from rag_app.index.active import ActivePointer
    from rag_app.index.catalog import Listed

index_app = typer.Typer(
    help="List indexes, switch, roll back, remove; verify and repair them.", no_args_is_help=True
)

Name = Annotated[
    str,
    typer.Argument(help="Name of an index, a beginning that no other index has, base or tuned."),
]
OptionalName = Annotated[
    str | None, typer.Argument(help="Name of an index, or its beginning. [the one in service]")
]
WholeName = Annotated[str, typer.Argument(help="Whole name of an index.")]
# What is in service; of each index that can be used what is shown of it; the others.
_List = tuple["ActivePointer", list[dict[str, Any]], "list[Listed]"]


def _catalog(run: Run) -> "tuple[Catalog, Settings]":
    settings = run.settings()
    return workspace_of(settings).catalog, settings


@index_app.command(
    "list", epilog="Examples:\n\nrag-app index list\n\nrag-app index list --json --storage DIR"
)
@command
def list_indexes(run: Run) -> None:
    """Show every index: its model, when it was made, how `finetune` scored it, which is in use."""
    settings = run.settings()
    scores = _finetune_scores(settings.results)
    pointer, rows, others = _quick_list(settings) or _full_list(settings)
    damage = pointer.damage()
    active = None if damage else pointer.current()
    for row in rows:
        row["mrr@10"] = scores.get(row["name"])
    if rows:
        made = _table(rows, active, with_models=True)
        whole = made.fits(run.out.width)
        run.out.print(made if whole else _table(rows, active, with_models=False), "")
        run.say("* in service. `rag-app index use NAME` switches; a beginning of the name will do")
        if scores:
            run.say("MRR@10: on the held-out questions of the last `finetune` that scored it")
    elif not others:
        run.say("no index yet; run `rag-app ingest PATH`")
    if damage:
        run.warn(damage)
    for one in others:
        run.say(f"{one.name} ({one.state.value}): {one.mend}")
    result: dict[str, Any] = {"active": active, "indexes": rows}
    if others:
        result["unusable"] = [
            {"name": one.name, "state": one.state.value, "mend": one.mend} for one in others
        ]
    run.result(result)


def _quick_list(settings: "Settings") -> _List | None:
    """What there is, where the folder tells it without its stores; None where it does not."""
    from rag_app.index.active import FilePointer
    from rag_app.index.summary import summaries

    if settings.chroma_url is not None or (found := summaries(settings.storage)) is None:
        return None
    rows: list[dict[str, Any]] = [
        {
            "name": one.name,
            **one.info,
            "made": one.made,
            "documents": one.documents,
            "chunks": one.chunks,
        }
        for one in found
    ]
    return FilePointer(settings.storage), rows, []


def _full_list(settings: "Settings") -> _List:
    """What there is, read from the stores: what can be used, and what cannot."""
    catalog = workspace_of(settings).catalog
    listed = catalog.listed()
    rows: list[dict[str, Any]] = [
        {
            "name": index.name,
            **index.info.to_metadata(),
            "made": index.made,
            **_counts(index),
        }
        for index in (one.index for one in listed if one.index is not None)
    ]
    others = [one for one in listed if one.index is None]
    return catalog.active, rows, others


def _counts(index: "VectorIndex") -> dict[str, int]:
    records = index.records()
    return {
        "documents": len({record.document_id for record in records}),
        "chunks": len(records),
    }


def _table(rows: list[dict[str, Any]], active: str | None, *, with_models: bool) -> TextTable:
    from rag_app.cli.scores import figure

    heads = ["  index", "model", "chunk size", "chunks", "made", "MRR@10"]
    lines = []
    for row in rows:
        tuned = row["model"] != row["base_model"]
        kind = "tuned" if tuned else "base"
        name = str(row["base_model"]).rsplit("/", 1)[-1]
        score = row["mrr@10"]
        lines.append(
            (
                f"{'*' if row['name'] == active else ' '} {row['name']}",
                shown(f"{name}, {kind}" if with_models else kind),
                _chunk_size(row),
                str(row["chunks"]),
                (row["made"] or "")[:10],
                "" if score is None else figure(score),
            )
        )
    return table(heads, lines, least=("made", "chunk size", "chunks", "model"))


def _chunk_size(row: dict[str, Any]) -> str:
    from rag_app.chunking import Chunking

    return Chunking(row["chunk_size"], row["chunk_overlap"]).label


def _finetune_scores(results: Path) -> dict[str, float]:
    """Index name -> held-out MRR@10 of the latest `finetune` that scored it."""
    scores: dict[str, float] = {}
    files = results.glob("finetune-*/finetune.json")
    for path in sorted(files, key=lambda path: path.stat().st_mtime_ns):
        try:
            values = json.loads(path.read_text("utf-8"))
            scores[values["base_index"]] = values["base"]["mrr@10"]["mean"]
            scores[values["index"]] = values["tuned"]["mrr@10"]["mean"]
        except (ValueError, KeyError, TypeError):
            # Of another version, or torn: the list needs no score.
            continue
    return scores


@index_app.command(
    "use", epilog="Examples:\n\nrag-app index use tuned\n\nrag-app index use all-minilm-l6-v2-256"
)
@command
def use_index(run: Run, name: Name) -> None:
    """Put an index into service."""
    catalog, _ = _catalog(run)
    whole = catalog.open(name).name
    catalog.put_into_service(whole)
    run.say(f"{whole} is in service; `rag-app index rollback` takes it back")
    run.result({"active": whole})


@index_app.command("rollback", epilog="Example:\n\nrag-app index rollback")
@command
def rollback_index(run: Run) -> None:
    """Put the index that was in service before back into service."""
    name = _catalog(run)[0].active.rollback()
    run.say(f"{name} is in service again")
    run.result({"active": name})


@index_app.command("remove", epilog="Example:\n\nrag-app index remove all-minilm-l6-v2-128")
@command
def remove_index(run: Run, name: Name) -> None:
    """Delete an index that is not in service."""
    catalog, _ = _catalog(run)
    whole = catalog.remove(name)
    run.say(f"{whole} is removed")
    run.result({"removed": whole})


@index_app.command("info", epilog="Example:\n\nrag-app index info tuned")
@command
def show_index(run: Run, name: OptionalName = None) -> None:
    """Show what made an index, what it holds, and where it is."""
    from rag_app.index.health import megabytes

    catalog, _ = _catalog(run)
    index = catalog.open(name)
    values = {
        "name": index.name,
        **index.info.to_metadata(),
        "made": index.made,
        **_counts(index),
        "retriever": index.retriever,
        "in_service": catalog.in_service() == index.name,
        "place": f"{index.folder}" if catalog.server is None else str(catalog.server.server),
        "project": catalog.server.project if catalog.server else None,
        "megabytes": None if catalog.server else megabytes(index.folder),
    }
    for key, value in values.items():
        if value is not None:
            run.say(f"{key:<14}{value}")
    run.result(values)


@index_app.command(
    "verify", epilog="Examples:\n\nrag-app index verify\n\nrag-app index verify tuned"
)
@command
def verify_index(run: Run, name: OptionalName = None) -> None:
    """Check an index: records, vectors, search. Exits 2 if something is wrong."""
    from rag_app.index.health import how_to_mend
    from rag_app.index.probe import probe

    catalog, _ = _catalog(run)
    index = catalog.open(name)
    found = probe(catalog, index)
    for problem in found:
        run.warn(problem)
    if found:
        run.say(how_to_mend(catalog, index.name))
    else:
        run.say(f"{index.name} is whole: {index.count()} chunks")
    run.result({"index": index.name, "problems": found})
    if found:
        raise typer.Exit(USER_ERROR)


@index_app.command("repair", epilog="Example:\n\nrag-app index repair all-minilm-l6-v2-256-928eef")
@command
def repair_index(run: Run, name: WholeName) -> None:
    """Make an index anew from the texts in its store and the vector cache.

    The old store goes when the new one is there. What could not be read comes back with the next
    `rag-app ingest`.
    """
    from rag_app.index.health import info_of_damaged, repair

    settings = run.settings()
    workspace = workspace_of(settings)
    model = workspace.model_of(info_of_damaged(workspace.catalog, name))
    done = repair(workspace.catalog, name, model, cache=workspace.cache, progress=run.progress)
    run.say(f"{name} is made anew with {done.kept} chunks; {done.lost} could not be read")
    run.say("`rag-app ingest PATH` of its documents brings what is missing")
    run.result({"index": name, "kept": done.kept, "lost": done.lost})


@index_app.command("gc", epilog="Examples:\n\nrag-app index gc\n\nrag-app index gc --cache")
@command
def collect_garbage(
    run: Run,
    *,
    cache: Annotated[
        bool, typer.Option("--cache", help="Also empty the cache of vectors, which saves work.")
    ] = False,
) -> None:
    """Remove what killed runs left beside the indexes."""
    from rag_app.index.health import leavings, megabytes

    settings = run.settings()
    workspace = workspace_of(settings)
    found = leavings(workspace.catalog)
    if cache and workspace.cache.path.parent.is_dir():
        found.append(workspace.cache.path.parent)
    freed = sum(megabytes(path) for path in found)
    for path in found:
        shutil.rmtree(path)
        run.say(f"removed {path}")
    run.say(f"freed {freed:.1f} MB" if found else "there is nothing to remove")
    run.result({"removed": [str(path) for path in found], "megabytes": round(freed, 1)})
