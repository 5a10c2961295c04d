"""What is to be ingested, as it was read for one index."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.ingest.base_index import base_of
from rag_app.ingest.duplicates import Duplicates, KeptWordings, without_duplicates
from rag_app.ingest.kept import KeptFiles, whole_documents

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from rag_app.documents import ReadResult
    from rag_app.documents.reading import Keep
    from rag_app.index import VectorIndex, Workspace


class Material:
    """Documents that are read once it is known what an index holds of them already.

    Arguments:
        read: reads the documents of all files but those that are kept.
        key: as `reading_key` makes it; None where nothing can be kept.

    Fields:
        reading: what was read.
        meant: of that what is to be in the index; all, until duplicates were looked for.
        kept: what is known of the files; None until there is an index.
    """

    reading: "ReadResult"
    meant: "ReadResult"

    def __init__(
        self,
        workspace: "Workspace",
        read: "Callable[[Keep], ReadResult]",
        *,
        key: str | None = None,
    ) -> None:
        self._workspace, self._read, self._key = workspace, read, key
        self.kept: KeptFiles | None = None

    def read_for(self, index: "VectorIndex | None") -> None:
        """Read what an index does not hold already; everything, where there is none yet."""
        self.kept = self._kept_in(index)
        # Of a new index nothing is kept.
        read = self._read(self.kept.keeps if self.kept else lambda _: None)
        self.reading = self.meant = _without_overloaded(read)

    def read_again_for(self, index: "VectorIndex") -> None:
        """Read what was left out since another index holds it."""
        if self._key is None or (self.kept is not None and self.kept.index == index.name):
            return
        if self.kept is None:
            self.kept = self._kept_in(index)
        else:
            self.read_for(index)

    def find_duplicates(self, index: "VectorIndex", *, leave_out: bool) -> Duplicates:
        """Compare what was read for an index; what is left out is not meant any more."""
        indexed = whole_documents(index).values()
        originals = KeptWordings(index.folder).duplicates_of(self.reading, indexed)
        self.meant = without_duplicates(self.reading, originals) if leave_out else self.reading
        return Duplicates(originals, leave_out)

    def save(self, roots: Sequence[Path]) -> None:
        """Remember what was read."""
        if self.kept is not None:
            self.kept.save(self.reading, roots)

    def _kept_in(self, index: "VectorIndex | None") -> KeptFiles | None:
        if index is None or self._key is None:
            return None
        # What is kept must be in the base, too, which is kept in step.
        base = base_of(self._workspace.catalog, index)
        return KeptFiles([index, base] if base else [index], self._key)


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
