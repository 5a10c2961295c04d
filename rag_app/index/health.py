"""Looking after indexes: what is wrong with one, making it anew, and what nobody needs any more."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag_app.chunks import PassageModel, passage_text
from rag_app.errors import ConfigError, IndexBroken
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import HNSW, Catalog
from rag_app.index.chroma import DATABASE
from rag_app.index.connection import EmbeddedConnection, embedded
from rag_app.index.folders import is_being_made
from rag_app.index.info import IndexInfo
from rag_app.index.known import write_known
from rag_app.index.locks import index_lock
from rag_app.index.records import ChunkRecord
from rag_app.index.salvage import Salvaged, salvage
from rag_app.index.store import VectorIndex
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors, are_unit

# Chunks that are searched for by their own vector.
PROBES = 100
# Of those an approximate search may miss some.
MOST_MISSED = 0.1


@dataclass(frozen=True)
class Repaired:
    """What came of a repair: chunks kept, and chunks that could not be read."""

    kept: int
    lost: int


def problems(index: VectorIndex, *, sample: bool = False) -> list[str]:
    """What is wrong with an index, in sentences; nothing, if it is whole.

    Damaged files of vectors may end the process; `probe` looks at them in another.

    Arguments:
        sample: look at some of the vectors, not at all.
    """
    found = []
    try:
        # Chroma reads the vectors' files whatever it is asked.
        count, records = index.count(), index.records()
        if len(records) != count:
            found.append(f"{count} chunks, but {len(records)} records of them")
        found += _half_written(records)
        found += _bad_vectors(index, sample=sample)
    except IndexBroken as error:
        found.append(f"its vectors cannot be read ({error.__cause__})")
    return found


def _half_written(records: Sequence[ChunkRecord]) -> Iterator[str]:
    documents: dict[str, list[ChunkRecord]] = defaultdict(list)
    for record in records:
        documents[record.document_id].append(record)
    for name, chunks in documents.items():
        hashes = {record.document_hash for record in chunks}
        if len(hashes) > 1 or len(chunks) != chunks[0].chunk_count:
            yield f"{name} is half written; the next `rag-app ingest` of its place completes it"


def _bad_vectors(index: VectorIndex, *, sample: bool) -> Iterator[str]:
    ids, vectors = _some_vectors(index) if sample else _all_vectors(index)
    if not ids:
        return
    bad = [name for name, vector in zip(ids, vectors, strict=True) if not are_unit(vector[None])]
    if bad:
        yield f"{len(bad)} chunks have vectors without unit length, {bad[0]} among them"
    probes = _spread(len(ids))
    # Chunks of the same text have the same vector.
    missed = sum(
        max(index.search_ids(vectors[row], top_k=1).values(), default=0.0) < 1 - 1e-3
        for row in probes
    )
    if missed > MOST_MISSED * len(probes):
        yield f"search does not find {missed} of {len(probes)} chunks by their own vectors"


def how_to_mend(catalog: Catalog, name: str) -> str:
    """What to do about the problems of an index, as a sentence."""
    if catalog.server is None:
        return f"`rag-app index repair {name}` makes it anew from its texts"
    return (
        "`rag-app ingest PATH` completes what is half written; for anything else "
        f"`rag-app ingest PATH --index NEW --use` makes another index in the place of {name}, with "
        f"vectors from the cache, and `rag-app index remove {name}` removes this one"
    )


def _all_vectors(index: VectorIndex) -> tuple[list[str], Vectors]:
    passages = index.passages()
    return [node.node_id for node in passages.nodes], passages.vectors


def _some_vectors(index: VectorIndex) -> tuple[list[str], Vectors]:
    ids = index.chunk_ids()
    some = [ids[row] for row in _spread(len(ids))]
    return some, index.vectors(some)


def _spread(count: int) -> list[int]:
    """Rows from the first to the last, `PROBES` at most."""
    return [int(row) for row in np.linspace(0, count - 1, min(PROBES, count))]


def info_of_damaged(catalog: Catalog, name: str) -> IndexInfo:
    """What made an index, read past Chroma.

    Raises:
        ConfigError: the index is on a server.
        IndexBroken: nothing can be read of it.
    """
    return _info(name, _salvage(catalog, name))


def repair(
    catalog: Catalog,
    name: str,
    model: PassageModel,
    *,
    cache: VectorCache,
    progress: Progress = silent,
) -> Repaired:
    """Make an index anew from its own texts, beside the old store, which then goes.

    Arguments:
        model: the one that made it.
    Raises:
        ConfigError: the index is on a server.
        IndexBroken: nothing can be read of it.
        IndexLocked: another process writes it.
        IndexMismatch: another model made it.
    """
    folder = catalog.folder / name
    with index_lock(folder):
        found = _salvage(catalog, name)
        info = _info(name, found)
        info.check_model(model, index=name)
        nodes = found.nodes()
        vectors = cache.embed_passages(
            model, [passage_text(node) for node in nodes], progress=progress
        )
        made = _make_beside(folder, name, found)
        made_index = VectorIndex(name, made, info, made.folder)
        made_index.write(nodes, vectors)
        write_known(made_index, found.known())
        made.close()
        _swap(folder, made.folder)
    return Repaired(len(nodes), len(found.rows) - len(nodes))


def _salvage(catalog: Catalog, name: str) -> Salvaged:
    if catalog.server:
        raise ConfigError(
            f"index {name!r} is on a Chroma server, whose files are not here to be repaired; "
            f"{how_to_mend(catalog, name)}"
        )
    folder = catalog.folder / name
    old = folder / "chroma.old"
    if old.is_dir() and not (folder / "chroma").exists():
        # A repair was killed between its two steps.
        old.rename(folder / "chroma")
    return salvage(folder / "chroma" / DATABASE)


def _info(name: str, found: Salvaged) -> IndexInfo:
    try:
        return IndexInfo.from_metadata(found.metadata)
    except KeyError:
        raise IndexBroken(
            f"nothing can be read of index {name!r} any more; `rag-app index remove {name}` and "
            "`rag-app ingest PATH` make it anew: vectors come from the cache"
        ) from None


def _make_beside(folder: Path, name: str, found: Salvaged) -> EmbeddedConnection:
    beside = folder / "repair"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    connection = EmbeddedConnection(beside)
    connection.name = name
    connection.create(configuration={"hnsw": HNSW}, metadata=found.metadata)
    return connection


def _swap(folder: Path, beside: Path) -> None:
    connection = embedded(folder)
    with connection.steady():
        connection.close()
        (folder / "chroma").rename(folder / "chroma.old")
        (beside / "chroma").rename(folder / "chroma")
        connection.stamp()
        connection.close()
    shutil.rmtree(folder / "chroma.old")
    shutil.rmtree(beside)


def leavings(catalog: Catalog) -> list[Path]:
    """What killed runs left of embedded indexes: folders that hold none, and half-made stores."""
    if catalog.server:
        return []
    found = [path for name in ("repair", "chroma.old") for path in catalog.folder.glob(f"*/{name}")]
    with_store = {path.parent for path in catalog.folder.glob("*/chroma*")}
    found += [path for path in catalog.folder.glob("*") if not _holds(path, with_store)]
    return sorted(found)


def _holds(path: Path, with_store: set[Path]) -> bool:
    """Whether a folder of an index has a store, or somebody holds its lock to make one."""
    return path in with_store or not path.is_dir() or is_being_made(path)


def megabytes(folder: Path) -> float:
    """Size of a folder."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return round(sum(file.lstat().st_size for file in files) / 2**20, 1)
