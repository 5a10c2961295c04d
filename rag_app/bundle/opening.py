"""Opening: an archive of another machine is checked, put into a storage, and put into service."""

import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rag_app.bundle.archive import damages, read_archive
from rag_app.bundle.manifest import INDEX, MANIFEST, MODELS, Manifest, described, read_manifest
from rag_app.errors import ConfigError, StorageError
from rag_app.index import Workspace
from rag_app.index.connection import STAMP
from rag_app.models.weights import folder_name
from rag_app.progress import Progress, silent

# More than the manifests of some hundred thousand files.
LARGEST_MANIFEST = 64_000_000
_UNPACKED = "bundle"
_STEP = "unpack"


@dataclass(frozen=True)
class Opened:
    """What was opened, and is in service now.

    Fields:
        chunks: in the index.
    """

    manifest: Manifest
    chunks: int


def open_bundle(workspace: Workspace, path: Path, *, progress: Progress = silent) -> Opened:
    """Put a bundle's index and models into a storage, and the index into service.

    Every file's hash is checked before anything takes its place, and the model's fingerprint
    before the index goes into service. Opening a bundle twice changes nothing.

    Raises:
        ConfigError: it is no bundle, or damaged, or would write elsewhere, or another index or
            model of that name is there.
        StorageError, OSError: as their names say.
    """
    if workspace.catalog.server is not None:
        raise ConfigError("a bundle is opened into a storage; leave out --chroma-url")
    workspace.storage.mkdir(parents=True, exist_ok=True)
    with _unpacked(path, workspace.storage, progress) as (folder, manifest):
        moves = list(_moves(folder, manifest, workspace))
        made: list[Path] = []
        try:
            for source, target in moves:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.rename(target)
                made.append(target)
            opened = workspace.open(manifest.index)
            chunks = opened.index.count()
        except BaseException:
            for target in made:
                shutil.rmtree(target, ignore_errors=True)
            raise
    workspace.catalog.put_into_service(manifest.index)
    return Opened(manifest, chunks)


@contextmanager
def _unpacked(path: Path, storage: Path, progress: Progress) -> Iterator[tuple[Path, Manifest]]:
    """A folder in the storage with the bundle's files, gone at the end of the block."""
    if not path.is_file():
        raise StorageError(f"{path}: there is no such file; name a bundle that was packed")
    folder = storage / f".{_UNPACKED}.partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder, _unpack(path, folder, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(path: Path, folder: Path, progress: Progress) -> Manifest:
    try:
        with read_archive(path) as archive:
            manifest = _first(archive, path)
            _refuse_too_large(manifest, folder, path)
            missing = dict(manifest.files)
            while (member := archive.next()) is not None:
                expected = missing.pop(member.name, None)
                if expected is None or not member.isreg() or member.size != expected.bytes:
                    raise ConfigError(
                        f"{path} is refused: {member.name!r} is not a file as its manifest says; "
                        "get the bundle from who packed it"
                    )
                archive.extract(member, folder, filter="data")
                if described(folder / member.name) != expected:
                    raise ConfigError(f"{path} is damaged: {member.name!r} changed; copy it again")
                progress(_STEP, len(manifest.files) - len(missing), len(manifest.files))
    except damages() as error:
        raise ConfigError(
            f"{path} is damaged, or no bundle ({error}); copy it again, or pack it again with "
            "`rag-app bundle pack`"
        ) from None
    if missing:
        raise ConfigError(f"{path} is damaged: {len(missing)} files are missing; copy it again")
    return manifest


def _first(archive: tarfile.TarFile, path: Path) -> Manifest:
    member = archive.next()
    file = archive.extractfile(member) if member is not None and member.isreg() else None
    if member is None or file is None or member.name != MANIFEST or member.size > LARGEST_MANIFEST:
        raise ConfigError(
            f"{path} is no bundle: it does not begin with {MANIFEST}; pack one with "
            "`rag-app bundle pack`"
        )
    return read_manifest(file.read(), where=path)


def _refuse_too_large(manifest: Manifest, folder: Path, path: Path) -> None:
    free = shutil.disk_usage(folder).free
    if manifest.bytes > free:
        raise StorageError(
            f"{path} takes {manifest.bytes / 1e6:,.0f} MB, and {folder.parent} has "
            f"{free / 1e6:,.0f} MB left; free some space or name another --storage"
        )


def _moves(folder: Path, manifest: Manifest, workspace: Workspace) -> Iterator[tuple[Path, Path]]:
    """What is not there yet: folders of the bundle, and where they go.

    Raises:
        ConfigError: something else is there.
    """
    for model in manifest.models:
        name = folder_name(model)
        source, target = folder / MODELS / name, workspace.models / name
        if not target.exists():
            yield source, target
        elif not _same_files(manifest, f"{MODELS}/{name}", target):
            raise ConfigError(
                f"{target} holds another model of the name {model}; name another --storage"
            )
    target = workspace.catalog.folder / manifest.index
    if manifest.index not in workspace.catalog.names():
        shutil.rmtree(target, ignore_errors=True)
        yield folder / INDEX, target
    elif _stamp(target) != manifest.stamp:
        raise ConfigError(
            f"{workspace.storage} has another index {manifest.index}; remove it with "
            f"`rag-app index remove {manifest.index}`, or name another --storage"
        )


def _same_files(manifest: Manifest, place: str, folder: Path) -> bool:
    """Whether every bundled file of a folder is there as it was packed."""
    wanted = {
        folder / name.removeprefix(f"{place}/"): file
        for name, file in manifest.files.items()
        if name.startswith(f"{place}/")
    }
    return all(path.is_file() and described(path) == file for path, file in wanted.items())


def _stamp(index: Path) -> str:
    path = index / STAMP
    return path.read_text("utf-8") if path.is_file() else ""
