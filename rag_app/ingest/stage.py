"""Stage: documents into an index."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunks import Chunking
from rag_app.documents import Columns
from rag_app.errors import IndexMismatch
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.documents import Failure
    from rag_app.index import IndexInfo, OpenIndex, SyncReport, Workspace
    from rag_app.models import EmbeddingModel


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


@dataclass(frozen=True)
class IndexOptions:
    """How an index is to be made; None where the index in service, or else the default, decides."""

    model: str | None = None
    chunk_size: int | None = None
    chunk_overlap: int | None = None
    sentences: str | None = None

    def chunking(self) -> Chunking:
        """How documents are cut in a new index.

        Raises:
            ConfigError: sizes that no index can have.
        """
        named = {key: value for key, value in self._cutting().items() if value is not None}
        chunking = replace(Chunking(), **named)
        chunking.check()
        return chunking

    def differs_from(self, info: "IndexInfo") -> str | None:
        """The first setting that an index was made with otherwise; None if it fits."""
        return next(
            (
                key
                for key, value in self._cutting().items()
                if value is not None and value != getattr(info, key)
            ),
            None,
        )

    def _cutting(self) -> dict[str, Any]:
        return {
            "chunk_size": self.chunk_size,
            "chunk_overlap": self.chunk_overlap,
            "sentences": self.sentences,
        }


def ingest(
    workspace: "Workspace",
    paths: Sequence[Path],
    *,
    index_name: str | None = None,
    options: IndexOptions = IndexOptions(),
    columns: Columns = Columns(),
    use: bool = False,
    progress: Progress = silent,
) -> IngestReport:
    """Read documents and bring an index in line with them.

    The index is the one named; else the one in service, if it was made as `options` say; else the
    one that they describe, which is made if need be. The first index ever made goes into
    service, a later one when `use` is set.

    Arguments:
        columns: of FAQ tables.
    Raises:
        DocumentError: a path is missing, or holds nothing that can be read.
        ModelError, IndexMismatch, IndexLocked, IndexBroken: as their names say.
    """
    from rag_app.documents import read_documents
    from rag_app.index import sync_documents

    started = time.monotonic()
    reading = read_documents(
        paths, question_column=columns.question, answer_column=columns.answer, progress=progress
    )
    active = workspace.catalog.active
    opened = open_target(workspace, options, index_name=index_name)
    index, model = opened.index, opened.model
    if active.current() is None:
        # Before the work, so that a run that is killed leaves an index that answers.
        active.use(index.name)
    sync = sync_documents(
        index,
        reading.documents,
        roots=paths,
        failed=[failure.path for failure in reading.failures],
        model=model,
        cache=workspace.cache,
        progress=progress,
    )
    if use:
        active.use(index.name)
    return IngestReport(
        index=index.name,
        active=active.current() == index.name,
        model=model.name,
        sync=sync,
        failures=reading.failures,
        skipped=reading.skipped,
        chunks=index.count(),
        seconds=time.monotonic() - started,
        warnings=warnings_for(reading.documents, model, sync),
    )


def open_target(
    workspace: "Workspace", options: IndexOptions, *, index_name: str | None = None
) -> "OpenIndex":
    """The index that is meant, and its model; made if need be.

    Raises:
        IndexMismatch: the named index was made otherwise.
    """
    name = index_name or _active_if_meant(workspace, options)
    if name is None or name not in workspace.catalog.names():
        return _make_target(workspace, options, name)
    opened = workspace.open(name, model=options.model)
    info = opened.index.info
    if key := options.differs_from(info):
        raise IndexMismatch(
            f"index {name!r} was made with {key} = {getattr(info, key)}, not "
            f"{getattr(options, key)}; leave --index out for an index of its own"
        )
    return opened


def _make_target(workspace: "Workspace", options: IndexOptions, name: str | None) -> "OpenIndex":
    from rag_app.index import IndexInfo, OpenIndex, index_name
    from rag_app.models.weights import DEFAULT_MODEL

    chunking = options.chunking()
    model = workspace.load_model(options.model or _active_base(workspace) or DEFAULT_MODEL)
    info = IndexInfo.of(model, chunking)
    return OpenIndex(workspace.catalog.make(name or index_name(info), info), model)


def _active_base(workspace: "Workspace") -> str | None:
    """The untuned model of the index in service: another chunk size means no other model."""
    active = workspace.catalog.active.current()
    return workspace.catalog.open(active).info.base_model if active else None


def _active_if_meant(workspace: "Workspace", options: IndexOptions) -> str | None:
    """The index in service, unless it was made otherwise."""
    active = workspace.catalog.active.current()
    if active is None:
        return None
    info = workspace.catalog.open(active).info
    meant = options.model in (None, info.model, info.base_model)
    return active if meant and options.differs_from(info) is None else None


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
