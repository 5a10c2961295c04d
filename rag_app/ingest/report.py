"""What an ingest did."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.ingest.duplicates import Duplicates
from rag_app.result import Result, Table

if TYPE_CHECKING:
    from rag_app.documents import Failure, LeftOut
    from rag_app.documents.content import DatesDiffer
    from rag_app.index import SyncReport


@dataclass(frozen=True, repr=False)
class IngestReport(Result):
    """What an ingest did.

    Fields:
        merged: rows with an answer that another row of the table has; one document with it.
        left_out: of files that were read, what is in no document.
        by_ocr: of files with pages that were read by OCR, the numbers of these.
        dates_differ: documents with two dates.
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
    dates_differ: "list[DatesDiffer]" = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    duplicates: Duplicates = field(default_factory=Duplicates)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        from rag_app.documents import why_skipped

        sync, duplicates = self.sync, self.duplicates
        return {
            "index": self.index,
            "model": self.model,
            "added": len(sync.added),
            "changed": len(sync.changed),
            "unchanged": len(sync.unchanged),
            "removed": len(sync.removed),
            "failed": [{"path": str(f.path), "reason": f.reason} for f in self.failures],
            "skipped": [{"path": str(p), "reason": why_skipped(p)} for p in self.skipped],
            "left_out": [
                {"path": str(path), "part": one.part, "count": one.count, "place": one.place}
                for path, left in self.left_out.items()
                for one in left
            ],
            "by_ocr": [{"path": str(path), "pages": pages} for path, pages in self.by_ocr.items()],
            "dates_differ": [asdict(one) for one in self.dates_differ],
            "merged": self.merged,
            "near_duplicates": {
                "count": len(duplicates.originals),
                "left_out": duplicates.left_out,
                "documents": [
                    {"document": name, "original": first}
                    for name, first in duplicates.originals.items()
                ],
            },
            "chunks": self.chunks,
            "known_questions": sync.known_questions,
            "requestioned": len(sync.requestioned),
            "truncated_chunks": sync.truncated_chunks,
            "warnings": self.warnings,
            "lost": sync.lost,
            "seconds": round(self.seconds, 2),
        }

    def records(self) -> list[dict[str, Any]]:
        """One row a document, or file without one: what became of it, and why."""
        return [
            {"document": name, "state": state, "reason": reason}
            for state, found in self._by_state().items()
            for name, reason in found.items()
        ]

    def table(self) -> Table:
        """How many documents were added, changed and so on; below it what to know."""
        return Table(
            ["documents", "how many"],
            [[state, str(len(found))] for state, found in self._by_state().items()],
            caption=f"index {self.index}: {self.chunks} chunks, {self.model}",
            notes=self.warnings,
        )

    def _by_state(self) -> dict[str, dict[str, str]]:
        """State -> names of documents, or files without one, and why that became of them."""
        from rag_app.documents import why_skipped

        sync, duplicates = self.sync, self.duplicates
        repeated = duplicates.originals.items() if duplicates.left_out else ()
        return {
            "added": dict.fromkeys(sync.added, ""),
            "changed": dict.fromkeys(sync.changed, ""),
            "unchanged": dict.fromkeys(sync.unchanged, ""),
            "removed": dict.fromkeys(sync.removed, ""),
            "failed": {str(one.path): one.reason for one in self.failures},
            "skipped": {str(path): why_skipped(path) for path in self.skipped},
            "left out": {name: f"repeats {first}" for name, first in repeated},
        }
