"""What was read into an index: embedded by Ray's workers, where there are some, and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.ingest.kept import documents_of
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.documents import ReadResult
    from rag_app.index import IndexModel, OpenIndex, SyncReport, VectorCache
    from rag_app.ingest.spread import Spreading


def write_reading(
    opened: "OpenIndex[IndexModel]",
    reading: "ReadResult",
    cache: "VectorCache",
    *,
    roots: Sequence[Path],
    prune: bool = False,
    spread: "Spreading | None" = None,
    progress: Progress = silent,
) -> "SyncReport":
    """Bring an index in line with what was read; see `sync_documents`.

    Arguments:
        spread: embeds in many processes first.
    """
    from rag_app.index import sync_documents

    index, model = opened.index, opened.model
    if spread:
        spread.embed(index, reading.documents, model=model, cache=cache, progress=progress)
    return sync_documents(
        index,
        reading.documents,
        roots=roots,
        failed=[failure.path for failure in reading.failures],
        kept=documents_of(reading.kept.values()),
        model=model,
        cache=cache,
        prune=prune,
        progress=progress,
    )
