"""Stage: documents into an index."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import DocumentError
from rag_app.ingest.base_index import keep_base_in_step
from rag_app.ingest.duplicates import Duplicates
from rag_app.ingest.material import Material
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.target import fitting_options, meant_index, open_target
from rag_app.ingest.warning_texts import (
    assumed,
    cut_chunks,
    endless_questions,
    foreign_script,
    lost_files,
    nothing_read,
)
from rag_app.ingest.writing import write_reading
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.documents import ReadResult
    from rag_app.documents.reading import Keep
    from rag_app.index import Catalog, IndexModel, OpenIndex, SyncReport, VectorIndex, Workspace
    from rag_app.ingest.spread import Spreading


def ingest(
    workspace: "Workspace",
    request: IngestRequest,
    *,
    spread: "Spreading | None" = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """Read documents and bring an index in line with them.

    The index is the one named; else the one in service, if it was made as the options say; else the
    one that they describe, which is made if need be. The first index ever made goes into
    service, a later one when `use` is set.

    Where no model was named and there is no index yet, documents in a script that the default model
    was not trained on get the multilingual model, if it is installed.

    Arguments:
        spread: reads and embeds in many processes; what is written stays the same.
        tell: called before the embedding with what the user should know by then; the report has
            it among its warnings, too.
    Raises:
        DocumentError: a path is missing, or holds nothing that can be read.
        ConfigError: tesseract is not installed, or lacks a language.
        ModelError, IndexMismatch, IndexLocked, IndexBroken, ClusterError: as their names say.
    """
    from rag_app.documents import read_documents
    from rag_app.documents.states import reading_key

    started = time.monotonic()

    def read(keep: "Keep") -> "ReadResult":
        reading = read_documents(
            request.paths,
            question_column=request.columns.question,
            answer_column=request.columns.answer,
            ocr=request.ocr,
            # What was indexed of a folder that is empty now is to go.
            may_be_empty=True,
            keep=keep,
            read_files=spread.read if spread else None,
            progress=progress,
        )
        return _with_metadata(reading, request)

    index = meant_index(workspace, request)
    key = reading_key(request.columns, request.ocr, request.metadata)
    material = Material(workspace, read, key=key)
    material.read_for(index)
    return _Ingest(workspace, request, material, spread, progress, tell).report(started)


def ingest_reading(
    workspace: "Workspace",
    reading: "ReadResult",
    request: IngestRequest,
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """As `ingest`, of documents that are read already."""
    started = time.monotonic()
    material = Material(workspace, lambda _: _with_metadata(reading, request))
    material.read_for(None)
    return _Ingest(workspace, request, material, None, progress, tell).report(started)


def _with_metadata(reading: "ReadResult", request: IngestRequest) -> "ReadResult":
    from rag_app.documents.named import with_metadata

    documents = [with_metadata(document, request.metadata) for document in reading.documents]
    return replace(reading, documents=documents)


@dataclass
class _Ingest:
    """One ingest of what was read.

    Fields:
        warnings: sentences that the user was told.
    """

    workspace: "Workspace"
    request: IngestRequest
    material: Material
    spread: "Spreading | None"
    progress: Progress
    tell: Callable[[str], None]
    warnings: list[str] = field(default_factory=list)

    def report(self, started: float) -> IngestReport:
        """Do it, and say what was done; `started` is when, by the monotonic clock."""
        from rag_app.retrieve.views import prepare_views

        catalog = self.workspace.catalog
        opened, sync, duplicates = self._synced()
        index, model, reading = opened.index, opened.model, self.material.meant
        if not reading.has_documents and not sync.removed:
            raise DocumentError(nothing_read(reading))
        self.warnings += keep_base_in_step(
            self.workspace,
            index,
            reading,
            roots=self.request.paths,
            spread=self.spread,
            progress=self.progress,
        )
        prepare_views(index, model, self.workspace.cache, progress=self.progress)
        self.material.save(self.request.paths)
        if self.request.use:
            catalog.put_into_service(index.name)
        return IngestReport(
            index=index.name,
            active=catalog.in_service() == index.name,
            model=model.name,
            sync=sync,
            failures=reading.failures,
            skipped=reading.skipped,
            merged=reading.merged,
            left_out=reading.left_out,
            by_ocr=reading.by_ocr,
            dates_differ=reading.dates_differ,
            chunks=index.count(),
            seconds=time.monotonic() - started,
            warnings=[
                *self.warnings,
                *cut_chunks(model, sync),
                *lost_files(sync),
                *endless_questions(reading),
            ],
            duplicates=duplicates,
        )

    def _synced(self) -> "tuple[OpenIndex[IndexModel], SyncReport, Duplicates]":
        """Bring the index that is meant in line; once more if another took its place meanwhile."""
        catalog = self.workspace.catalog
        before = catalog.names()
        texts = [document.text for document in self.material.reading.documents]
        options, notes = fitting_options(
            self.workspace, self.request, texts, progress=self.progress
        )
        self._warn(notes)
        while True:
            opened = open_target(self.workspace, options, index_name=self.request.index)
            name = opened.index.name
            served = catalog.in_service() in (name, None)
            is_new = name not in before
            duplicates = self._prepare(opened, texts, is_new=is_new)
            sync = write_reading(
                opened,
                self.material.meant,
                self.workspace.cache,
                roots=self.request.paths,
                prune=self.request.prune,
                spread=self.spread,
                progress=self.progress,
            )
            # What finetune promotes while this waits for the lock was made without these documents.
            is_named = self.request.index is not None
            if is_named or not served or catalog.in_service() in (name, None):
                return opened, sync, duplicates

    def _prepare(
        self, opened: "OpenIndex[IndexModel]", texts: list[str], *, is_new: bool
    ) -> Duplicates:
        """What comes before the work: what is meant for this index, and what is odd about it."""
        catalog, index, model = self.workspace.catalog, opened.index, opened.model
        self.material.read_again_for(index)
        duplicates = self.material.find_duplicates(index, leave_out=self.request.dedupe)
        reading = self.material.meant
        if is_new and (reading.empty or not reading.has_documents):
            catalog.remove(index.name)
            raise DocumentError(nothing_read(reading))
        _check_empty(reading.empty, index)
        # Of the few that were read, where most are kept, it would tell nothing.
        self._warn([] if reading.kept else foreign_script(texts, model, known=self.warnings))
        self._warn(assumed(model) if is_new else [])
        _serve_something(catalog, index.name)
        return duplicates

    def _warn(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.warnings.append(sentence)
            self.tell(sentence)


def _serve_something(catalog: "Catalog", name: str) -> None:
    """Before the work, so that a run that is killed leaves an index that answers."""
    if catalog.in_service() is None:
        catalog.put_into_service(name)


def _check_empty(empty: "Mapping[Path, str]", index: "VectorIndex") -> None:
    """Refuse a named path that holds nothing and never did; mistyped, most likely."""
    if not empty:
        return
    indexed = {Path(record.path) for record in index.records() if record.path}
    for root, reason in empty.items():
        if not any(path.is_relative_to(root) for path in indexed):
            raise DocumentError(reason)
