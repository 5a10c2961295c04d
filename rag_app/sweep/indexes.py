"""One index for each model and chunk size, of the documents of another; built once and kept."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.documents import Columns
from rag_app.documents.given import KIND
from rag_app.index import (
    IndexInfo,
    IndexModel,
    Passages,
    Workspace,
    index_name,
    is_in_step,
    stale_documents,
    sync_documents,
)
from rag_app.pairs import judged_model
from rag_app.progress import Progress, silent
from rag_app.sweep.documents import documents_of

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.chunking import Chunking
    from rag_app.index import ChunkRecord, VectorIndex


@dataclass(frozen=True)
class Built:
    """An index, all of it in memory.

    Fields:
        seconds: that building took; None where it was there already.
        megabytes: of the store on disk; None on a server.
    """

    index: "VectorIndex"
    model: IndexModel
    passages: Passages
    seconds: float | None
    megabytes: float | None


class IndexBuilder:
    """Cuts and embeds the documents of an index anew.

    All its indexes hold these documents as their files are now. Neither the source, nor the index
    in service, nor one that can be rolled back to is written: where a document of it has changed
    since, another index is made beside it.

    Arguments:
        source: the index whose documents they are; their files are read again.
    Raises:
        DocumentError: a file of the index is gone or cannot be read any more.
    """

    def __init__(
        self,
        workspace: Workspace,
        source: "VectorIndex",
        *,
        columns: Columns = Columns(),
        progress: Progress = silent,
    ) -> None:
        self._workspace = workspace
        self._catalog = workspace.catalog
        self._source = source
        self._progress = progress
        self._documents = documents_of(source, columns, progress=progress)
        # What a program handed over has no file.
        paths = (str(document.metadata["path"]) for document in self._documents)
        self._paths = {Path(path) for path in paths if path}
        self._ids = {document.node_id for document in self._documents}
        in_use = {source.name, *self._catalog.active.kept()}
        self._not_ours = in_use.intersection(self._catalog.names())
        self._models: dict[str, IndexModel] = {}
        self._bases: dict[str, str] = {}
        self._built: dict[tuple[str, Chunking], Built] = {}

    def model(self, name: str) -> IndexModel:
        """The model of this name, loaded once."""
        if name not in self._models:
            own = self._source.info
            self._models[name] = (
                self._workspace.model_of(own)
                if name == own.model
                else self._workspace.index_model(name)
            )
        return self._models[name]

    def judged(self, name: str) -> str:
        """The model whose scores stand for this one's: of a refit, the one that was judged."""
        return judged_model(self.model(name)) or name

    def add_tuned(self, model: IndexModel, *, base: str) -> None:
        """Make a model known that was tuned from another, by name."""
        self._models[model.name] = model
        self._bases[model.fingerprint] = base

    def build(self, model_name: str, chunking: "Chunking") -> Built:
        """The index of this model and chunking; nothing is embedded twice."""
        key = (model_name, chunking)
        if key not in self._built:
            self._built[key] = self._build(self.model(model_name), chunking)
        return self._built[key]

    @property
    def documents(self) -> "Sequence[Document]":
        """Those of the source, as they were read again."""
        return self._documents

    @property
    def changed(self) -> list[str]:
        """Ids of the documents that the source holds otherwise than their files are now."""
        documents, _ = self._meant_for(self._source)
        return sorted(one.node_id for one in stale_documents(self._source, documents))

    def is_there(self, model_name: str, chunking: "Chunking") -> bool:
        """Whether `build` finds an index that is made so."""
        model = self.model(model_name)
        return (
            self._found(IndexInfo.of(model, chunking, base_model=self._base_of(model))) is not None
        )

    def _build(self, model: IndexModel, chunking: "Chunking") -> Built:
        started = time.monotonic()
        index = self._target(IndexInfo.of(model, chunking, base_model=self._base_of(model)))
        if index.name in self._not_ours:
            return Built(index, model, index.passages(), None, self._megabytes(index))
        documents, roots = self._meant_for(index)
        report = sync_documents(
            index,
            documents,
            roots=roots,
            model=model,
            cache=self._workspace.cache,
            progress=self._progress,
        )
        seconds = time.monotonic() - started if report.written_chunks else None
        return Built(index, model, index.passages(), seconds, self._megabytes(index))

    def _meant_for(self, index: "VectorIndex") -> "tuple[list[Document], list[Path]]":
        """The documents that an index is to hold, and the files that it is to hold no others of."""
        documents = list(self._documents)
        if index.name == self._source.name:
            # What was handed over is there as it was, and its blanks may differ in `documents`.
            documents = [one for one in documents if one.metadata["kind"] != KIND]
        paths = {Path(str(one.metadata["path"])) for one in documents if one.metadata["path"]}
        gone = {Path(record.path) for record in self._others(index) if record.path}
        return documents, sorted(paths | gone)

    def _target(self, info: IndexInfo) -> "VectorIndex":
        """The index of this kind: the source, one made so that holds nothing else, or a new one."""
        if found := self._found(info):
            return found
        first = index_name(info)
        names = itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))
        taken = self._catalog.names()
        return self._catalog.make(next(name for name in names if name not in taken), info)

    def _found(self, info: IndexInfo) -> "VectorIndex | None":
        alike = (
            index
            for index in (self._source, *self._catalog.indexes())
            if _made_alike(index.info, info) and not self._holds_others(index)
        )
        return next(
            (one for one in alike if one.name not in self._not_ours or self._is_in_step(one)), None
        )

    def _is_in_step(self, index: "VectorIndex") -> bool:
        documents, roots = self._meant_for(index)
        return is_in_step(index, documents, roots=roots)

    def _holds_others(self, index: "VectorIndex") -> bool:
        return any(not other.path or Path(other.path).exists() for other in self._others(index))

    def _others(self, index: "VectorIndex") -> "list[ChunkRecord]":
        """What an index holds that is not of the source's files or documents."""
        return [
            record
            for record in index.records()
            if (
                Path(record.path) not in self._paths
                if record.path
                else record.document_id not in self._ids
            )
        ]

    def _megabytes(self, index: "VectorIndex") -> float | None:
        if self._catalog.server:
            return None
        files = (path for path in (index.folder / "chroma").rglob("*") if path.is_file())
        return round(sum(path.stat().st_size for path in files) / 2**20, 1)

    def _base_of(self, model: IndexModel) -> str | None:
        """The model that this one was tuned from, as another index of it says."""
        if model.fingerprint in self._bases:
            return self._bases[model.fingerprint]
        infos = [self._source.info, *(index.info for index in self._catalog.indexes())]
        return next(
            (info.base_model for info in infos if info.fingerprint == model.fingerprint), None
        )


def _made_alike(one: IndexInfo, other: IndexInfo) -> bool:
    return (one.fingerprint, one.chunking) == (other.fingerprint, other.chunking)
