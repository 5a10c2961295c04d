"""A retriever that keeps the traces of what it is asked."""

from collections.abc import Sequence

from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever


class Recorded(TracedRetriever):
    """A retriever whose traces are kept: how each question was found, or not asked as meant."""

    def __init__(self, retriever: TracedRetriever) -> None:
        self.retriever = retriever
        self.traces: list[Trace] = []
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """As the retriever ranks."""
        self.traces += traces
        return self.retriever.rank(traces)
