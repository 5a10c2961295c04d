"""Nearest chunks by the index's own (approximate) search: what the REPL asks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_app.retrieve.exact import embed_questions
from rag_app.retrieve.nodes import id_only_hits
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from rag_app.index import VectorIndex
    from rag_app.retrieve.filters.where import Where
    from rag_app.vectors import Embedder


class VectorRetriever(TracedRetriever):
    """Embeds the question with the index's model and asks Chroma.

    Arguments:
        top_k: nodes to return; all of them where the index holds fewer.
        where: only chunks that match are returned; Chroma leaves the others out itself.
        ids_only: return nodes that have nothing but their ids, see `rag_app.retrieve.nodes`.
    Raises:
        IndexMismatch: the model is not the one that made the index.
    """

    def __init__(
        self,
        index: "VectorIndex",
        model: "Embedder",
        *,
        top_k: int,
        where: "Where | None" = None,
        ids_only: bool = False,
    ) -> None:
        index.check_model(model)
        self.index = index
        self.model = model
        self.top_k = top_k
        self.filters = where.filters if where else None
        self.ids_only = ids_only
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Embed the questions in batches and search for each."""
        with timed(traces, "vector") as rankings:
            vectors = embed_questions(traces, self.model, None)
            rankings += [self._search(vector) for vector in vectors]
        return rankings

    def _search(self, vector: Vectors) -> Ranking:
        if not self.ids_only:
            return self.index.search(vector, top_k=self.top_k, filters=self.filters)
        return id_only_hits(self.index.search_ids(vector, top_k=self.top_k, filters=self.filters))
