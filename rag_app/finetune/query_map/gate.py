"""Where a collection's questions are at home, so that a map made for them leaves others alone.

A map that tells the passages of one business apart does nothing for out-of-domain questions but
harm. How near a question is to the passages is its product with one vector: their mean times the
inverse of their second moments, a linear discriminant whose other class is spread evenly.
"""

from dataclasses import dataclass

import numpy as np

from rag_app.models.query_map import QueryMap
from rag_app.vectors import Vectors

# Of the mean of the second moments, added to that of each direction.
RIDGE = 3.0
# Of the training questions, ordered from the strangest: what moves the first by nothing moves those
# beyond the second in full.
OUTER, INNER = 0.01, 0.1


@dataclass(frozen=True)
class Home:
    """How near a question is to the passages, from 0 at the outer edge to 1 at the inner one.

    Fields:
        direction: (dim,) whose product with a question, plus `offset`, says it.
        questions: (n, dim) the training's, whose moves tell how much there is to take away.
    """

    direction: Vectors
    offset: float
    questions: Vectors

    @classmethod
    def of(cls, questions: Vectors, passages: Vectors) -> "Home":
        """Of what training may see: (n, dim) each."""
        moments = passages.T @ passages / len(passages)
        ridge = RIDGE * float(np.trace(moments)) / len(moments)
        spread = moments + ridge * np.eye(len(moments), dtype=np.float32)
        direction = np.linalg.solve(spread, passages.mean(axis=0))
        outer, inner = np.quantile(questions @ direction, [OUTER, INNER])
        # Questions that are all alike have no edge.
        width = max(float(inner - outer), 1e-6)
        return cls((direction / width).astype(np.float32), -float(outer) / width, questions)

    def keep(self, change: Vectors) -> QueryMap:
        """The change as a map that is at work at home: its largest entry is gone at the edge."""
        most = float(np.abs(self.questions @ change.T).max())
        # Shrinks by most x (1 - nearness), so that nothing is left at the outer edge.
        return QueryMap(
            change=change,
            home=(most * self.direction).astype(np.float32),
            limit=most * (1 - self.offset),
        )
