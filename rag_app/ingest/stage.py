"""Stage: documents into an index."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import IndexMismatch
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.config import Settings
    from rag_app.documents import Failure
    from rag_app.index import Catalog, SyncReport, VectorIndex
    from rag_app.models import EmbeddingModel

# Settings that say how an index is made; naming one of them may mean another index.
MAKING = ("model", "chunk_size", "chunk_overlap", "sentences")


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did. `warnings` are sentences for the user."""

    index: str
    active: bool
    model: str
    sync: "SyncReport"
    failures: list["Failure"]
    skipped: list[Path]
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
) -> IngestReport:
    """Read documents and bring an index in line with them.

    The index is the one named; else the one in service, if it was made with the settings that were
    given; else the one that the settings describe, which is made if need be. The first index ever
    made goes into service, a later one when `use` is set.

    Raises:
        DocumentError: a path is missing, or holds nothing that can be read.
        ModelError, IndexMismatch, IndexLocked, IndexBroken: as their names say.
    """
    from rag_app.documents import read_documents
    from rag_app.index import Catalog, VectorCache, check_not_empty, sync_documents

    started = time.monotonic()
    if index_name is not None:
        check_not_empty(index_name)
    reading = read_documents(
        paths,
        question_column=settings.question_column,
        answer_column=settings.answer_column,
        progress=progress,
    )
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)

    def sync_into(index: "VectorIndex", model: "EmbeddingModel") -> "SyncReport":
        return sync_documents(
            index,
            reading.documents,
            roots=paths,
            failed=[failure.path for failure in reading.failures],
            model=model,
            cache=VectorCache(settings.storage),
            progress=progress,
        )

    index, model, sync = _sync_target(catalog, settings, index_name, sync_into)
    if use:
        catalog.put_into_service(index.name)
    return IngestReport(
        index=index.name,
        active=catalog.active.current() == index.name,
        model=model.name,
        sync=sync,
        failures=reading.failures,
        skipped=reading.skipped,
        chunks=index.count(),
        seconds=time.monotonic() - started,
        warnings=warnings_for(reading.documents, model, sync),
    )


def _sync_target(
    catalog: "Catalog",
    settings: "Settings",
    index_name: str | None,
    sync_into: "Callable[[VectorIndex, EmbeddingModel], SyncReport]",
) -> tuple["VectorIndex", "EmbeddingModel", "SyncReport"]:
    """Bring the index that is meant in line; once more if another took its place meanwhile."""
    while True:
        index, model = open_target(catalog, settings, index_name=index_name)
        if catalog.in_service() is None:
            # Before the work, so that a run that is killed leaves an index that answers.
            catalog.put_into_service(index.name)
        served = catalog.in_service() == index.name
        sync = sync_into(index, model)
        # What finetune promotes while this waits for the lock was made without these documents.
        if index_name is not None or not served or catalog.in_service() in (index.name, None):
            return index, model, sync


def open_target(
    catalog: "Catalog", settings: "Settings", *, index_name: str | None = None
) -> tuple["VectorIndex", "EmbeddingModel"]:
    """The index that these settings mean, and its model.

    Raises:
        ConfigError: the name is empty, or none that an index can have.
        IndexMismatch: the named index was made with another model.
    """
    name = _active_if_meant(catalog, settings) if index_name is None else index_name
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
    active = catalog.in_service()
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
    active = catalog.in_service()
    if active is None:
        return None
    info = catalog.open(active).info
    same = all(
        getattr(info, key) == getattr(settings, key) for key in MAKING[1:] if given(settings, key)
    )
    meant = not given(settings, "model") or settings.model in (info.model, info.base_model)
    return active if same and meant else None


def warnings_for(
    documents: Sequence["Document"], model: "EmbeddingModel", sync: "SyncReport"
) -> list[str]:
    """What the user should know about how model and documents fit together."""
    from rag_app.models.weights import MULTILINGUAL_MODEL

    warnings = []
    texts = [document.text for document in documents]
    foreign = [text for text in texts if not model.knows_script_of([text])]
    if len(foreign) > len(texts) / 2:
        warnings.append(
            f"{len(foreign)} of {len(texts)} documents are in a script that {model.name} was not "
            f"trained on, so it will find them badly; run `rag-app ingest --model "
            f"{MULTILINGUAL_MODEL} --use PATH` (pip install 'rag-app[multilingual]')"
        )
    if sync.truncated_chunks:
        warnings.append(
            f"{sync.truncated_chunks} of {sync.written_chunks} chunks are longer than the "
            f"{model.max_tokens} tokens that {model.name} reads; their ends are not searched. "
            f"Run ingest with --chunk-size {model.max_tokens} or less"
        )
    return warnings
