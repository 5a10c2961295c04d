"""Stage: documents into an index."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import DocumentError, IndexMismatch
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.documents import Failure
    from rag_app.index import Catalog, SyncReport, VectorIndex
    from rag_app.models import EmbeddingModel

# Failed files that are named where nothing could be read.
_EXAMPLES = 3
# Settings that say how an index is made; naming one of them may mean another index.
MAKING = ("model", "chunk_size", "chunk_overlap", "sentences")


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did.

    Fields:
        merged: rows with an answer that another row of the table has; one document with it.
        warnings: sentences for the user.
    """

    index: str
    active: bool
    model: str
    sync: "SyncReport"
    failures: list["Failure"]
    skipped: list[Path]
    merged: int
    chunks: int
    seconds: float
    warnings: list[str] = field(default_factory=list)


def ingest(
    paths: Sequence[Path],
    settings: "Settings",
    *,
    index_name: str | None = None,
    use: bool = False,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """Read documents and bring an index in line with them.

    The index is the one named; else the one in service, if it was made with the settings that were
    given; else the one that the settings describe, which is made if need be. The first index ever
    made goes into service, a later one when `use` is set.

    Where no model was named and there is no index yet, documents in a script that the default model
    was not trained on get the multilingual model, if it is installed.

    Arguments:
        tell: called before the embedding with what the user should know by then; the report has
            it among its warnings, too.
    Raises:
        DocumentError: a path is missing, or holds nothing that can be read.
        ModelError, IndexMismatch, IndexLocked, IndexBroken: as their names say.
    """
    from rag_app.documents import read_documents
    from rag_app.index import Catalog, VectorCache, sync_documents
    from rag_app.models.scripts import script_warning

    started = time.monotonic()
    reading = read_documents(
        paths,
        question_column=settings.question_column,
        answer_column=settings.answer_column,
        progress=progress,
    )
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    before = catalog.names()
    is_first = catalog.active.current() is None and index_name not in before
    texts = [document.text for document in reading.documents]
    warnings = []
    if is_first and not given(settings, "model"):
        settings, chosen = _fitting(settings, texts)
        warnings += [chosen] if chosen else []
    index, model = open_target(catalog, settings, index_name=index_name)
    if not reading.documents and index.name not in before:
        catalog.remove(index.name)
        raise DocumentError(_nothing_read(reading.failures))
    if foreign := script_warning(texts, model.name, model.knows_script_of):
        warnings.append(foreign)
    for warning in warnings:
        tell(warning)
    if catalog.active.current() is None:
        # Before the work, so that a run that is killed leaves an index that answers.
        catalog.active.use(index.name)
    sync = sync_documents(
        index,
        reading.documents,
        roots=paths,
        failed=[failure.path for failure in reading.failures],
        model=model,
        cache=VectorCache(settings.storage),
        progress=progress,
    )
    if not reading.documents and not sync.removed:
        raise DocumentError(_nothing_read(reading.failures))
    if use:
        catalog.active.use(index.name)
    return IngestReport(
        index=index.name,
        active=catalog.active.current() == index.name,
        model=model.name,
        sync=sync,
        failures=reading.failures,
        skipped=reading.skipped,
        merged=reading.merged,
        chunks=index.count(),
        seconds=time.monotonic() - started,
        warnings=[*warnings, *_cut_chunks(model, sync)],
    )


def _fitting(settings: "Settings", texts: Sequence[str]) -> tuple["Settings", str | None]:
    """The settings with the model that fits the documents, and a sentence if it is another."""
    from rag_app.models.scripts import fitting_model

    name, why = fitting_model(
        texts, settings.model, storage=settings.storage, offline=settings.offline
    )
    return (settings.model_copy(update={"model": name}) if why else settings), why


def _nothing_read(failures: Sequence["Failure"]) -> str:
    """Why an ingest came to nothing: what is wrong with the files."""
    first = "; ".join(f"{failure.path} {failure.reason}" for failure in failures[:_EXAMPLES])
    if len(failures) == 1:
        return first
    more = f"; and {len(failures) - _EXAMPLES} more" if len(failures) > _EXAMPLES else ""
    return f"none of the {len(failures)} files could be read: {first}{more}"


def open_target(
    catalog: "Catalog", settings: "Settings", *, index_name: str | None = None
) -> tuple["VectorIndex", "EmbeddingModel"]:
    """The index that these settings mean, and its model.

    Raises:
        IndexMismatch: the named index was made with another model.
    """
    name = index_name or _active_if_meant(catalog, settings)
    if name is None or name not in catalog.names():
        return _make_target(catalog, settings, name)
    index = catalog.open(name)
    named = index_name is not None
    model = load_settings_model(settings, None if named and given(settings, "model") else index)
    index.check_model(model)
    _check_making(index, settings)
    return index, model


def load_settings_model(
    settings: "Settings", index: "VectorIndex | None", *, following: str | None = None
) -> "EmbeddingModel":
    """The model of this index, or the one that was given, or `following`, or the default."""
    from rag_app.models import load_named

    fallback = settings.model if given(settings, "model") else following or settings.model
    name = index.info.model if index else fallback
    return load_named(name, settings)


def _active_base(catalog: "Catalog") -> str | None:
    """The untuned model of the index in service: another chunk size means no other model."""
    active = catalog.active.current()
    return catalog.open(active).info.base_model if active else None


def given(settings: "Settings", key: str) -> bool:
    """Whether a flag, the environment or the file set this, rather than a default."""
    return key in settings.model_fields_set


def _make_target(
    catalog: "Catalog", settings: "Settings", name: str | None
) -> tuple["VectorIndex", "EmbeddingModel"]:
    from rag_app.chunks import Chunking
    from rag_app.index import IndexInfo, index_name

    model = load_settings_model(settings, None, following=_active_base(catalog))
    chunking = Chunking(settings.chunk_size, settings.chunk_overlap, settings.sentences)
    info = IndexInfo.of(model, chunking)
    return catalog.make(name or index_name(info), info), model


def _check_making(index: "VectorIndex", settings: "Settings") -> None:
    for key in MAKING[1:]:
        if given(settings, key) and getattr(settings, key) != getattr(index.info, key):
            raise IndexMismatch(
                f"index {index.name!r} was made with {key} = {getattr(index.info, key)}, not "
                f"{getattr(settings, key)}; leave --index out for an index of its own"
            )


def _active_if_meant(catalog: "Catalog", settings: "Settings") -> str | None:
    """The index in service, unless a setting was given that it was not made with."""
    from rag_app.chunks import WHOLE_PASSAGES

    active = catalog.active.current()
    if active is None:
        return None
    info = catalog.open(active).info
    if info.chunking == WHOLE_PASSAGES:
        # It holds the passages of a dataset; documents are to be cut.
        return None
    same = all(
        getattr(info, key) == getattr(settings, key) for key in MAKING[1:] if given(settings, key)
    )
    meant = not given(settings, "model") or settings.model in (info.model, info.base_model)
    return active if same and meant else None


def _cut_chunks(model: "EmbeddingModel", sync: "SyncReport") -> list[str]:
    """A warning if chunks are longer than the model reads."""
    if not sync.truncated_chunks:
        return []
    return [
        f"{sync.truncated_chunks} of {sync.written_chunks} chunks are longer than the "
        f"{model.max_tokens} tokens that {model.name} reads; their ends are not searched. "
        f"Run ingest with --chunk-size {model.max_tokens} or less"
    ]
