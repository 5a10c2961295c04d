"""Packing: the files of an index and of its models, under a manifest, into one archive."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rag_app.bundle.archive import compression, written_archive
from rag_app.bundle.manifest import FORMAT, INDEX, MANIFEST, MODELS, Manifest, described
from rag_app.disk import refuse_unwritable
from rag_app.errors import ConfigError, ModelError
from rag_app.index import VectorIndex, Workspace
from rag_app.index.locks import HOLDER
from rag_app.models.weights import CROSS_ENCODER, find_model, folder_name
from rag_app.progress import Progress, silent
from rag_app.retrieve import RetrievalOptions
from rag_app.retrieve.options import KEPT

# Another machine has its own.
_LOCKS = ("lock", ".lock", HOLDER)
_STEP = "pack"


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Fields:
        bytes: of the archive.
    """

    path: Path
    manifest: Manifest
    bytes: int


def refuse_archive(path: Path) -> None:
    """Say now if a bundle could not be written there.

    Raises:
        ConfigError, StorageError: as their names say.
    """
    compression(path)
    refuse_unwritable(path, is_folder=False)


def pack_bundle(
    workspace: Workspace,
    path: Path,
    *,
    index: str | None = None,
    settings: Mapping[str, str | int],
    version: str,
    progress: Progress = silent,
) -> Packed:
    """Write an index, its embedding model, the retriever's reranker and the settings.

    The index's lock is held meanwhile, so that nothing is written to it.

    Arguments:
        index: its name; the one in service unless named.
        settings: of rag_app.toml, `retriever` among them.
        version: of this program.
    Raises:
        ConfigError: the index is on a server, or the archive's name is none.
        ModelError: a model without weights on this machine.
        IndexLocked, StorageError, OSError: as their names say.
    """
    refuse_archive(path)
    found = workspace.catalog.open(index)
    if workspace.catalog.server is not None:
        raise ConfigError(
            f"index {found.name} is on a Chroma server, whose files are not here; other machines "
            "ask the server itself, or ingest the documents without --chroma-url and pack that"
        )
    models = _models(workspace, found, str(settings.get("retriever", "")))
    with found.writing():
        places = dict(_files(found, models))
        manifest = Manifest(
            format=FORMAT,
            rag_app=version,
            index=found.name,
            stamp=found.connection.token or "",
            models=list(models),
            settings=dict(settings),
            files={name: described(place) for name, place in places.items()},
        )
        with written_archive(path) as archive:
            _add(archive, manifest, places, progress)
    return Packed(path, manifest, path.stat().st_size)


def _models(workspace: Workspace, index: VectorIndex, retriever: str) -> dict[str, Path]:
    """Folder of each model that is asked, by its name."""
    try:
        name = workspace.weights_of(index.info).name
        _, folder = find_model(name, storage=workspace.storage, offline=workspace.offline)
    except ModelError as error:
        raise ModelError(
            f"index {index.name} cannot be packed without its model: {error}"
        ) from None
    found = {name: folder}
    reranker = RetrievalOptions.parse(retriever or KEPT).of(index).rerank
    if reranker:
        found[reranker] = find_model(
            reranker, storage=workspace.storage, offline=workspace.offline, kind=CROSS_ENCODER
        )[1]
    return found


def _files(index: VectorIndex, models: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Each file that is packed, by its place in the archive."""
    yield from _below(index.folder, INDEX)
    for name, folder in models.items():
        yield from _below(folder, f"{MODELS}/{folder_name(name)}")


def _below(folder: Path, place: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        partial = ".partial" in path.name
        if path.is_file() and not path.name.endswith(_LOCKS) and not partial:
            yield f"{place}/{path.relative_to(folder).as_posix()}", path


def _add(
    archive: tarfile.TarFile, manifest: Manifest, places: Mapping[str, Path], progress: Progress
) -> None:
    text = manifest.to_json().encode()
    archive.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
    for done, (name, place) in enumerate(places.items(), 1):
        with place.open("rb") as file:
            archive.addfile(_member(name, manifest.files[name].bytes), file)
        progress(_STEP, done, len(places))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Without the names, numbers and times of this machine."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member
