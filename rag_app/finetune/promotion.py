"""Putting the tuned index into service with all that the index it comes from holds by then."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.index import copy_chunks
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.index import Catalog, VectorCache, VectorIndex
    from rag_app.models import EmbeddingModel

# For an ingest that is writing when the tuned index is ready.
WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Lineage:
    """The index that was named, that of its untuned model (often the same), and the tuned one."""

    source: "VectorIndex"
    base_index: "VectorIndex"
    base: "EmbeddingModel"
    tuned_index: "VectorIndex"
    tuned: "EmbeddingModel"

    def bring_up_to_date(self, cache: "VectorCache", progress: Progress = silent) -> None:
        """Give the tuned index the chunks that the source holds now."""
        if self.tuned_index.name == self.source.name:
            return
        if self.base_index.name != self.source.name:
            copy_chunks(
                self.source, self.base_index, model=self.base, cache=cache, progress=progress
            )
        copy_chunks(
            self.base_index, self.tuned_index, model=self.tuned, cache=cache, progress=progress
        )


def promote(
    catalog: "Catalog", lineage: Lineage, cache: "VectorCache", *, progress: Progress = silent
) -> None:
    """Switch to the tuned index; what others ingested since it was made is brought along.

    The source stays locked until the switch, so that nothing is written to it in between; an
    ingest that waits for it goes on to the index that is in service then.

    Raises:
        IndexLocked: another process still writes the source after `WAIT_SECONDS`.
    """
    with lineage.source.writing(wait_seconds=WAIT_SECONDS):
        lineage.bring_up_to_date(cache, progress)
        catalog.put_into_service(lineage.tuned_index.name, instead_of=lineage.base_index.name)
