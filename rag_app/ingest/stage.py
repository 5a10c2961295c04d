"""Stage: documents into an index."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunking import WHOLE_PASSAGES, Chunking
from rag_app.documents import Columns
from rag_app.errors import DocumentError, IndexMismatch
from rag_app.ingest.base_index import base_of, keep_base_in_step
from rag_app.ingest.duplicates import Duplicates, KeptWordings, without_duplicates
from rag_app.ingest.kept import KeptFiles, documents_of, whole_documents
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.documents import Failure, LeftOut, ReadResult
    from rag_app.documents.reading import Keep
    from rag_app.index import (
        Catalog,
        IndexInfo,
        IndexModel,
        OpenIndex,
        SyncReport,
        VectorIndex,
        Workspace,
    )
    from rag_app.ingest.spread import Spreading

# Failed files that are named where nothing could be read.
_EXAMPLES = 3


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did.

    Fields:
        merged: rows with an answer that another row of the table has; one document with it.
        left_out: of files that were read, what is in no document.
        by_ocr: of files with pages that were read by OCR, the numbers of these.
        warnings: sentences for the user.
        duplicates: documents that say what an earlier one of this ingest says.
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
    left_out: "dict[Path, list[LeftOut]]" = field(default_factory=dict)
    by_ocr: dict[Path, list[int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    duplicates: Duplicates = field(default_factory=Duplicates)


@dataclass(frozen=True)
class IndexOptions:
    """How an index is to be made; None where the index in service, or else the default, decides.

    Fields:
        dimensions: to cut vectors to; None: all.
    """

    model: str | None = None
    chunk_size: int | None = None
    chunk_overlap: int | None = None
    sentences: str | None = None
    dimensions: int | None = None

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
    ocr: str | None = None,
    use: bool = False,
    prune: bool = False,
    dedupe: bool = False,
    spread: "Spreading | None" = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """Read documents and bring an index in line with them.

    The index is the one named; else the one in service, if it was made as `options` say; else the
    one that they describe, which is made if need be. The first index ever made goes into
    service, a later one when `use` is set.

    Where no model was named and there is no index yet, documents in a script that the default model
    was not trained on get the multilingual model, if it is installed.

    Arguments:
        columns: of FAQ tables.
        ocr: languages, as tesseract calls them (kor+eng), in which pages of PDFs without text are
            read; None: they are not.
        prune: remove also the documents whose file is gone from another place than was read.
        dedupe: leave out documents that say what an earlier one of this ingest says, by path.
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
        return read_documents(
            paths,
            question_column=columns.question,
            answer_column=columns.answer,
            ocr=ocr,
            # What was indexed of a folder that is empty now is to go.
            may_be_empty=True,
            keep=keep,
            read_files=spread.read if spread else None,
            progress=progress,
        )

    index = _meant_index(workspace, options, index_name)
    material = _Material(workspace, read, key=reading_key(columns, ocr), index=index)
    report = _ingest(
        workspace,
        material,
        roots=paths,
        index_name=index_name,
        options=options,
        use=use,
        prune=prune,
        dedupe=dedupe,
        spread=spread,
        progress=progress,
        tell=tell,
    )
    return replace(report, seconds=time.monotonic() - started)


def ingest_reading(
    workspace: "Workspace",
    reading: "ReadResult",
    *,
    roots: Sequence[Path] = (),
    index_name: str | None = None,
    options: IndexOptions = IndexOptions(),
    use: bool = False,
    prune: bool = False,
    dedupe: bool = False,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> IngestReport:
    """As `ingest`, of documents that are read already.

    Arguments:
        roots: the files and folders that were read: what the index holds of them and is not among
            the documents is removed.
    """
    material = _Material(workspace, lambda _: reading)
    return _ingest(
        workspace,
        material,
        roots=roots,
        index_name=index_name,
        options=options,
        use=use,
        prune=prune,
        dedupe=dedupe,
        spread=None,
        progress=progress,
        tell=tell,
    )


class _Material:
    """What is to be ingested, as it was read for one index.

    Fields:
        reading: what was read.
        meant: of that what is to be in the index; all, until duplicates were looked for.
        kept: what is known of the files; None until there is an index.
    """

    def __init__(
        self,
        workspace: "Workspace",
        read: "Callable[[Keep], ReadResult]",
        *,
        key: str | None = None,
        index: "VectorIndex | None" = None,
    ) -> None:
        """Read what the index does not hold already.

        Arguments:
            read: reads the documents of all files but those that are kept.
            key: as `reading_key` makes it; None where nothing can be kept.
        """
        self._workspace, self._read, self._key = workspace, read, key
        self.kept = self._kept_in(index)
        self.reading = self.meant = self._read_anew()

    def read_for(self, index: "VectorIndex") -> None:
        """Read again what was left out since another index holds it."""
        if self._is_for(index):
            return
        before, self.kept = self.kept, self._kept_in(index)
        if before is not None:
            self.reading = self._read_anew()

    def find_duplicates(self, index: "VectorIndex", *, leave_out: bool) -> Duplicates:
        """Compare what was read for an index; what is left out is not meant any more."""
        indexed = whole_documents(index).values()
        originals = KeptWordings(index.folder).duplicates_of(self.reading, indexed)
        self.meant = without_duplicates(self.reading, originals) if leave_out else self.reading
        return Duplicates(originals, leave_out)

    def _read_anew(self) -> "ReadResult":
        # Of a new index nothing is kept.
        return _without_overloaded(self._read(self.kept.keeps if self.kept else lambda _: None))

    def save(self, roots: Sequence[Path]) -> None:
        """Remember what was read."""
        if self.kept is not None:
            self.kept.save(self.reading, roots)

    def _is_for(self, index: "VectorIndex") -> bool:
        return self._key is None or (self.kept is not None and self.kept.index == index.name)

    def _kept_in(self, index: "VectorIndex | None") -> KeptFiles | None:
        if index is None or self._key is None:
            return None
        # What is kept must be in the base, too, which is kept in step.
        base = base_of(self._workspace.catalog, index)
        return KeptFiles([index, base] if base else [index], self._key)


def _ingest(
    workspace: "Workspace",
    material: _Material,
    *,
    roots: Sequence[Path],
    index_name: str | None,
    options: IndexOptions,
    use: bool,
    prune: bool,
    dedupe: bool,
    spread: "Spreading | None",
    progress: Progress,
    tell: Callable[[str], None],
) -> IngestReport:
    """As `ingest`, of what was read."""
    from rag_app.index import sync_documents
    from rag_app.retrieve.views import prepare_views

    started = time.monotonic()
    catalog = workspace.catalog
    before = catalog.names()
    texts = [document.text for document in material.reading.documents]
    options, warnings = _fitting(workspace, options, index_name, texts)
    options = _with_cut_model(workspace, options)
    duplicates = Duplicates(left_out=dedupe)

    def sync_into(opened: "OpenIndex[IndexModel]") -> "SyncReport":
        nonlocal duplicates
        index, model = opened.index, opened.model
        material.read_for(index)
        duplicates = material.find_duplicates(index, leave_out=dedupe)
        reading = material.meant
        if index.name not in before and (reading.empty or not reading.has_documents):
            catalog.remove(index.name)
            raise DocumentError(_nothing_read(reading))
        _check_empty(reading.empty, index)
        # Of the few that were read, where most are kept, it would tell nothing.
        foreign = [] if reading.kept else _foreign_script(texts, model, known=warnings)
        for warning in (*foreign, *([] if index.name in before else _assumed(model))):
            warnings.append(warning)
            tell(warning)
        _serve_something(catalog, index.name)
        if spread:
            spread.embed(
                index, reading.documents, model=model, cache=workspace.cache, progress=progress
            )
        return sync_documents(
            index,
            reading.documents,
            roots=roots,
            failed=[failure.path for failure in reading.failures],
            kept=documents_of(reading.kept.values()),
            model=model,
            cache=workspace.cache,
            prune=prune,
            progress=progress,
        )

    for warning in warnings:
        tell(warning)
    opened, sync = _sync_target(workspace, options, index_name, sync_into)
    index, model, reading = opened.index, opened.model, material.meant
    if not reading.has_documents and not sync.removed:
        raise DocumentError(_nothing_read(reading))
    warnings += keep_base_in_step(
        workspace, index, reading, roots=roots, spread=spread, progress=progress
    )
    prepare_views(index, model, workspace.cache, progress=progress)
    material.save(roots)
    if use:
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
        chunks=index.count(),
        seconds=time.monotonic() - started,
        warnings=[
            *warnings,
            *_cut_chunks(model, sync),
            *_lost_files(sync),
            *_endless_questions(reading),
        ],
        duplicates=duplicates,
    )


def _meant_index(
    workspace: "Workspace", options: IndexOptions, index_name: str | None
) -> "VectorIndex | None":
    """The index that is meant, if it is there and known before documents are read."""
    if options.dimensions is not None:
        # Another model may be meant, whose name is known only when it is cut.
        return None
    name = _active_if_meant(workspace, options) if index_name is None else index_name
    return workspace.catalog.open(name) if name in workspace.catalog.names() else None


def _without_overloaded(reading: "ReadResult") -> "ReadResult":
    """What was read without the files that hold a document which the store cannot take."""
    from rag_app.documents import Failure
    from rag_app.index import refusal

    reasons: dict[str, str] = {}
    for document in reading.documents:
        if reason := refusal(document.metadata):
            reasons.setdefault(_file_of(document), reason)
    if not reasons:
        return reading
    kept = [document for document in reading.documents if _file_of(document) not in reasons]
    failed = [Failure(Path(name), reason) for name, reason in reasons.items()]
    failures = sorted([*reading.failures, *failed], key=lambda failure: failure.path)
    return replace(reading, documents=kept, failures=failures)


def _file_of(document: "Document") -> str:
    """The file that a document was read from, or the id of one that was handed over."""
    return document.metadata.get("path") or str(document.id_)


def _sync_target(
    workspace: "Workspace",
    options: IndexOptions,
    index_name: str | None,
    sync_into: "Callable[[OpenIndex[IndexModel]], SyncReport]",
) -> tuple["OpenIndex[IndexModel]", "SyncReport"]:
    """Bring the index that is meant in line; once more if another took its place meanwhile."""
    catalog = workspace.catalog
    while True:
        opened = open_target(workspace, options, index_name=index_name)
        name = opened.index.name
        served = catalog.in_service() in (name, None)
        sync = sync_into(opened)
        # What finetune promotes while this waits for the lock was made without these documents.
        if index_name is not None or not served or catalog.in_service() in (name, None):
            return opened, sync


def _serve_something(catalog: "Catalog", name: str) -> None:
    """Before the work, so that a run that is killed leaves an index that answers."""
    if catalog.in_service() is None:
        catalog.put_into_service(name)


def _fitting(
    workspace: "Workspace", options: IndexOptions, index_name: str | None, texts: Sequence[str]
) -> tuple[IndexOptions, list[str]]:
    """The options with the model that is used, and a sentence where it is none that was named."""
    from rag_app.models.scripts import fitting_model
    from rag_app.models.weights import DEFAULT_MODEL, stand_in_note

    if options.model is not None:
        used = workspace.model_named(options.model)
        note = stand_in_note(options.model, used, storage=workspace.storage)
        return replace(options, model=used), [note] if note else []
    catalog = workspace.catalog
    is_first = catalog.in_service() is None and index_name not in catalog.names()
    if not is_first:
        return options, []
    name, why = fitting_model(
        texts, DEFAULT_MODEL, storage=workspace.storage, offline=workspace.offline
    )
    return (replace(options, model=name), [why]) if why else (options, [])


def _with_cut_model(workspace: "Workspace", options: IndexOptions) -> IndexOptions:
    """The options with the model that is cut to the dimensions they name."""
    if options.dimensions is None:
        return options
    return replace(options, model=workspace.cut_model(options.model, options.dimensions))


def _foreign_script(
    texts: Sequence[str], model: "IndexModel", *, known: Sequence[str]
) -> list[str]:
    """A warning if most texts are in a script that the model was not trained on; none twice."""
    from rag_app.models.scripts import script_warning

    warning = script_warning(texts, model.name, model.knows_script_of)
    return [warning] if warning and warning not in known else []


def _assumed(model: "IndexModel") -> list[str]:
    """What is assumed of a model that is not known."""
    assumption = getattr(model, "assumption", None)
    return [assumption] if assumption else []


def _check_empty(empty: "Mapping[Path, str]", index: "VectorIndex") -> None:
    """Refuse a named path that holds nothing and never did; mistyped, most likely."""
    if not empty:
        return
    indexed = {Path(record.path) for record in index.records() if record.path}
    for root, reason in empty.items():
        if not any(path.is_relative_to(root) for path in indexed):
            raise DocumentError(reason)


def _nothing_read(reading: "ReadResult") -> str:
    """Why an ingest came to nothing: what is wrong with the files."""
    from rag_app.documents import nothing_in

    failures = reading.failures
    if reading.empty:
        return next(iter(reading.empty.values()))
    if not failures:
        return nothing_in(reading.skipped)
    first = "; ".join(f"{failure.path} {failure.reason}" for failure in failures[:_EXAMPLES])
    if len(failures) == 1:
        return first
    more = f"; and {len(failures) - _EXAMPLES} more" if len(failures) > _EXAMPLES else ""
    return f"none of the {len(failures)} files could be read: {first}{more}"


def open_target(
    workspace: "Workspace", options: IndexOptions, *, index_name: str | None = None
) -> "OpenIndex[IndexModel]":
    """The index that is meant, and its model; made if need be.

    Raises:
        ConfigError: the name is empty, or none that an index can have.
        IndexMismatch: the named index was made otherwise.
    """
    from rag_app.index import check_not_empty

    if index_name is not None:
        check_not_empty(index_name)
    name = _active_if_meant(workspace, options) if index_name is None else index_name
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


def _make_target(
    workspace: "Workspace", options: IndexOptions, name: str | None
) -> "OpenIndex[IndexModel]":
    from rag_app.index import IndexInfo, OpenIndex, name_for
    from rag_app.models.weights import DEFAULT_MODEL

    chunking = options.chunking()
    # Another chunk size means no other model.
    model = workspace.index_model(options.model or workspace.base_model() or DEFAULT_MODEL)
    info = IndexInfo.of(model, chunking)
    made = workspace.catalog.make(name or name_for(workspace.catalog.names(), info), info)
    return OpenIndex(made, model)


def _active_if_meant(workspace: "Workspace", options: IndexOptions) -> str | None:
    """The index in service, unless it was made otherwise."""
    active = workspace.catalog.in_service()
    if active is None:
        return None
    info = workspace.catalog.open(active).info
    if info.chunking == WHOLE_PASSAGES:
        # It holds the passages of a dataset; documents are to be cut.
        return None
    meant = options.model is None or workspace.made_with(info, options.model)
    return active if meant and options.differs_from(info) is None else None


def _endless_questions(reading: "ReadResult") -> list[str]:
    """A warning if tables have questions that are too long to be asked."""
    from rag_app.known import KNOWN_QUESTIONS, load_questions
    from rag_app.text.asked import LONGEST_QUESTION

    texts = [str(document.metadata.get(KNOWN_QUESTIONS, "[]")) for document in reading.documents]
    lengths = [len(one.text) for text in texts for one in load_questions(text, "")]
    if not (endless := sum(length > LONGEST_QUESTION for length in lengths)):
        return []
    return [
        f"{endless} of {len(lengths)} questions are longer than the {LONGEST_QUESTION} characters "
        "that can be asked, so they are not searched; shorten them in the table"
    ]


def _cut_chunks(model: "IndexModel", sync: "SyncReport") -> list[str]:
    """A warning if chunks are longer than the model reads."""
    if not sync.truncated_chunks:
        return []
    return [
        f"{sync.truncated_chunks} of {sync.written_chunks} chunks are longer than the "
        f"{model.max_tokens} tokens that {model.name} reads; their ends are not searched. "
        f"Run ingest with --chunk-size {model.max_tokens} or less"
    ]


def _lost_files(sync: "SyncReport") -> list[str]:
    """A warning if documents stay whose file is gone from another place than was read."""
    if not sync.lost:
        return []
    named = ", ".join(sync.lost[:_EXAMPLES])
    more = f" and {len(sync.lost) - _EXAMPLES} more" if len(sync.lost) > _EXAMPLES else ""
    return [
        f"{named}{more}: the file is gone, and the document still answers; "
        "`rag-app ingest PATH --prune` removes it"
    ]
