"""Keeping the index that a tuned one came from in step, so that a rollback loses nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import IndexBroken, IndexLocked, IndexMismatch, ModelError
from rag_app.ingest.kept import documents_of
from rag_app.ingest.writing import write_reading
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.documents import ReadResult
    from rag_app.index import Catalog, VectorIndex, Workspace
    from rag_app.ingest.spread import Spreading


def keep_base_in_step(
    workspace: "Workspace",
    index: "VectorIndex",
    reading: "ReadResult",
    *,
    roots: Sequence[Path],
    spread: "Spreading | None" = None,
    progress: Progress = silent,
) -> list[str]:
    """Do to the base of a tuned index in service what an ingest did to the tuned one.

    The base's model is loaded only where something is to be done.

    Returns:
        a warning, where it could not be done.
    """
    from rag_app.index import is_in_step

    base = base_of(workspace.catalog, index)
    if base is None:
        return []
    failed = [failure.path for failure in reading.failures]
    kept = documents_of(reading.kept.values())
    if is_in_step(base, reading.documents, roots=roots, failed=failed, kept=kept):
        return []
    try:
        write_reading(
            workspace.open(base.name),
            reading,
            workspace.cache,
            roots=roots,
            spread=spread,
            progress=progress,
        )
    except (IndexBroken, IndexLocked, IndexMismatch, ModelError) as error:
        return [
            f"{base.name}, which `rag-app index rollback` goes back to, lacks these changes: "
            f"{error}. The next ingest tries again"
        ]
    return []


def base_of(catalog: "Catalog", index: "VectorIndex") -> "VectorIndex | None":
    """The untuned index of the tuned one in service; None for another, or where there is none."""
    info = index.info
    if info.model == info.base_model or catalog.in_service() != index.name:
        return None
    meant = (info.base_model, info.chunking)
    bases = (one for one in catalog.indexes() if (one.info.model, one.info.chunking) == meant)
    return next(bases, None)
