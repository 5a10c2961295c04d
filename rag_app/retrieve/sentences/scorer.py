"""What others found, scored by the best sentence."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rag_app.retrieve.exact import embed_questions
from rag_app.retrieve.hybrid import rescored
from rag_app.retrieve.sentences.vectors import SentenceVectors
from rag_app.retrieve.trace import Ranking, Trace, timed

if TYPE_CHECKING:
    from rag_app.vectors import Embedder


class SentenceScorer:
    """Ranks candidates by the highest cosine of their sentences.

    Nothing is searched for: whatever the number of chunks, only the sentences of the candidates
    are compared with.
    """

    def __init__(self, vectors: SentenceVectors, model: "Embedder") -> None:
        self.vectors = vectors
        self.model = model

    def score(self, candidates: Sequence[Ranking], traces: Sequence[Trace]) -> list[Ranking]:
        """The candidates of each question, best first; those without sentences are left out."""
        with timed(traces, "sentence") as rankings:
            questions = embed_questions(traces, self.model, None)
            for hits, question in zip(candidates, questions, strict=True):
                rankings.append(rescored(hits, partial(self.vectors.best, question)))
        return rankings
