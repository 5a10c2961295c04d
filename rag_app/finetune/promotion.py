"""Putting the tuned index into service with all that the index it comes from holds by then."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.finetune.context import TrainingContext, TunableIndex
from rag_app.index import IndexInfo, OpenIndex, copy_chunks, name_for
from rag_app.models import EmbeddingModel

if TYPE_CHECKING:
    from rag_app.index import VectorIndex

# For an ingest that is writing when the tuned index is ready.
WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Lineage:
    """The index that was named, that of its untuned model (often the same), and the tuned one."""

    source: "VectorIndex"
    base: TunableIndex
    tuned: TunableIndex

    def bring_up_to_date(self, context: TrainingContext) -> None:
        """Give the tuned index the chunks that the source holds now; resumes."""
        if self.tuned.index.name == self.source.name:
            return
        cache, progress = context.cache, context.progress
        base, tuned = self.base, self.tuned
        if base.index.name != self.source.name:
            copy_chunks(self.source, base.index, model=base.model, cache=cache, progress=progress)
        copy_chunks(base.index, tuned.index, model=tuned.model, cache=cache, progress=progress)


def make_tuned(context: TrainingContext, base: TunableIndex, tuned: EmbeddingModel) -> TunableIndex:
    """The index of the tuned model beside that of the base, to be filled."""
    catalog = context.workspace.catalog
    info = IndexInfo.of(tuned, base.index.info.chunking, base_model=base.index.info.base_model)
    return OpenIndex(catalog.make(name_for(catalog.names(), info), info), tuned)


def promote(context: TrainingContext, lineage: Lineage) -> None:
    """Switch to the tuned index; what others ingested since it was made is brought along.

    The source stays locked until the switch, so that nothing is written to it in between; an
    ingest that waits for it goes on to the index that is in service then.

    Raises:
        IndexLocked: another process still writes the source after `WAIT_SECONDS`.
    """
    with lineage.source.writing(wait_seconds=WAIT_SECONDS):
        lineage.bring_up_to_date(context)
        context.workspace.catalog.put_into_service(
            lineage.tuned.index.name, instead_of=lineage.base.index.name
        )
