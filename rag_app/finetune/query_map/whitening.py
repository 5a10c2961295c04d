"""Whitening of questions: brings out what tells passages apart; nothing is trained.

All passages of a business are about that business: much of their vectors is the same, and decides
nothing. Whitening evens the directions out (Su et al. 2021, "Whitening sentence representations for
better semantics and faster retrieval", arXiv 2103.15316). To whiten both sides is to multiply the
question alone by the inverse of the passages' second moments, so no passage has to be embedded
again.
"""

import numpy as np

from rag_app.vectors import Vectors

# Of the mean variance, added to that of each direction: few passages tell little of the small ones.
RIDGE = 0.3


def whitening(questions: Vectors, passages: Vectors) -> Vectors:
    """The change of a question's vector at share 1, (dim, dim).

    In the mean of squares it is as long as the questions.

    Arguments:
        questions: (n, dim) of training.
        passages: (n, dim), all of the index.
    """
    moments = passages.T @ passages / len(passages)
    # No spread at all is a pool of equal texts.
    ridge = RIDGE * max(float(np.var(passages, axis=0).mean()), 1e-6)
    change = np.linalg.inv(moments + ridge * np.eye(len(moments), dtype=np.float32))
    change *= np.linalg.norm(questions) / np.linalg.norm(questions @ change)
    return np.asarray(change, dtype=np.float32)
