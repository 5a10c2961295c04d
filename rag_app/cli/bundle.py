"""`bundle`: an index with its model and settings in one file, for another machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.given import workspace_of
from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.config import Settings

bundle_app = typer.Typer(
    help="Pack an index with its model and settings into one file; open it elsewhere, offline.",
    no_args_is_help=True,
)
# What decides which passages are found; the model and how documents are cut are the index's.
PACKED = ("retriever", "top_k", "fetch_k", "rewrites", "where")
SETTINGS_FILE = "rag_app.toml"

Archive = Annotated[Path, typer.Argument(help="The bundle: NAME.tar.gz, or NAME.tar.zst.")]


@bundle_app.command("pack", epilog="Example:\n\nrag-app bundle pack support.tar.gz")
@command
def pack(
    run: Run,
    archive: Archive,
    *,
    index: Annotated[str | None, typer.Option(help="Index to pack. [in service]")] = None,
) -> None:
    """Write one file that answers elsewhere as this index does here.

    It holds the index, its embedding model, the reranker of its retriever, and the
    settings that decide what is found; the texts of your documents are in it, secrets are not.
    """
    settings = run.settings()
    from rag_app import __version__
    from rag_app.bundle import pack_bundle

    packed = pack_bundle(
        workspace_of(settings),
        archive,
        index=index,
        settings=_packed(settings),
        version=__version__,
        progress=run.progress,
    )
    manifest = packed.manifest
    run.say(
        f"{archive}: index {manifest.index} with {', '.join(manifest.models)}, "
        f"{packed.bytes / 1e6:.1f} MB"
    )
    run.say(f"elsewhere: rag-app bundle open {archive.name} --storage DIR")
    run.result(
        {
            "path": str(archive),
            "index": manifest.index,
            "models": manifest.models,
            "settings": manifest.settings,
            "files": len(manifest.files),
            "bytes": packed.bytes,
        }
    )


@bundle_app.command("open", epilog="Example:\n\nrag-app bundle open support.tar.gz --storage DIR")
@command
def open_archive(run: Run, archive: Archive) -> None:
    """Put a bundle's index and models into --storage, and the index into service.

    Its settings are written to rag_app.toml in that folder.
    """
    settings = run.settings()
    from rag_app.bundle import open_bundle
    from rag_app.sweep.settings_file import write_settings

    opened = open_bundle(workspace_of(settings), archive, progress=run.progress)
    manifest, file = opened.manifest, settings.storage / SETTINGS_FILE
    kept = {key: value for key, value in manifest.settings.items() if key in PACKED}
    write_settings(file, {"storage": str(settings.storage.resolve()), **kept})
    run.say(f"{manifest.index} is in service in {settings.storage}: {opened.chunks} chunks")
    run.say(f"ask it: rag-app query --config {file}")
    run.result(
        {
            "index": manifest.index,
            "models": manifest.models,
            "chunks": opened.chunks,
            "settings_file": str(file),
        }
    )


def _packed(settings: "Settings") -> dict[str, str | int]:
    values = settings.model_dump()
    return {key: values[key] for key in PACKED if values[key] is not None}
