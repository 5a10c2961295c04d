"""The in-domain gate: the query adapter acts on in-domain questions and leaves others as they are.

An adapter that tells the passages of one collection apart can only harm out-of-domain questions.
How near a question is to the passages is its product with one vector: their mean times the inverse
of their second moments, a linear discriminant whose other class is spread evenly.
"""

from dataclasses import dataclass

import numpy as np

from rag_app.models.query_map import QueryMap
from rag_app.vectors import Vectors

# Of the mean of the second moments, added to that of each direction.
RIDGE = 3.0
# Quantiles of the training questions by their product with the direction: below the first the
# adapter changes nothing, above the second it acts in full.
OUTER, INNER = 0.01, 0.1


@dataclass(frozen=True)
class InDomainGate:
    """How near a question is to the passages, from 0 at the outer edge to 1 at the inner one.

    Fields:
        direction: (dim,) whose product with a question, plus `offset`, says it.
        questions: (n, dim) the training's, whose moves tell how much there is to take away.
    """

    direction: Vectors
    offset: float
    questions: Vectors

    @classmethod
    def of(cls, questions: Vectors, passages: Vectors) -> "InDomainGate":
        """Of the training questions and of all passages of the index: (n, dim) each."""
        moments = passages.T @ passages / len(passages)
        ridge = RIDGE * float(np.trace(moments)) / len(moments)
        spread = moments + ridge * np.eye(len(moments), dtype=np.float32)
        direction = np.linalg.solve(spread, passages.mean(axis=0))
        outer, inner = np.quantile(questions @ direction, [OUTER, INNER])
        # Questions that are all alike have no edge.
        width = max(float(inner - outer), 1e-6)
        return cls((direction / width).astype(np.float32), -float(outer) / width, questions)

    def keep(self, change: Vectors) -> QueryMap:
        """The change as an adapter with this gate: its largest entry is zero at the outer edge."""
        most = float(np.abs(self.questions @ change.T).max())
        # Shrinks by most x (1 - nearness), so that nothing is left at the outer edge.
        return QueryMap(
            change=change,
            gate=(most * self.direction).astype(np.float32),
            limit=most * (1 - self.offset),
        )
