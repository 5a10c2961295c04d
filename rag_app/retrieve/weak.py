"""Whether the nearest passage is near the question at all.

Cosines have no scale that all models share: with MiniLM unrelated texts reach .2, with e5 .85. So a
question's nearest passage is held against passages of this index that have nothing to do with each
other: those of different documents.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag_app.index import VectorIndex
    from rag_app.retrieve.searched import Searched
    from rag_app.retrieve.trace import Trace
    from rag_app.vectors import Vectors

# Of the cosines between chunks of different documents. It flags 0.6 % of the English sample's
# questions (MiniLM; tuned 0.9 %) and 5 % of the Korean ones (e5), whose first passage is mostly
# wrong; of questions that are off topic there 82 % of XQuAD's (tuned 65 %), 43 % of those about
# Covid (34 %) and 99.5 % of KorQuAD's.
QUANTILE = 0.7
# Chunks that are compared, each with all others; fewer than the least say nothing.
SAMPLED = 300
FEWEST = 50


def unrelated_cosine(index: "VectorIndex") -> float | None:
    """A cosine that three in ten pairs of unrelated chunks reach; None of a small index."""
    ids = sorted(index.chunk_ids())
    step = max(len(ids) // SAMPLED, 1)
    nodes = index.get_nodes(ids[::step])
    if len(nodes) < FEWEST:
        return None
    return unrelated_of(
        index.vectors([node.node_id for node in nodes]), [str(node.ref_doc_id) for node in nodes]
    )


def unrelated_of(vectors: "Vectors", documents: "Sequence[str]") -> float | None:
    """The same of chunks that are in memory; None of a few.

    Arguments:
        vectors: (n_chunks, dim), unit length.
        documents: of each chunk, in its order.
    """
    step = max(len(documents) // SAMPLED, 1)
    vectors, names = vectors[::step], np.array(documents[::step])
    apart = names[:, np.newaxis] != names
    if len(names) < FEWEST or not apart.any():
        return None
    return float(np.quantile((vectors @ vectors.T)[apart], QUANTILE))


def weak_match(searched: "Searched", trace: "Trace") -> tuple[float, float] | None:
    """A question's best cosine, and the higher one of unrelated passages of the index as it is now.

    None where the best passage is nearer than those, or where nothing tells.
    """
    nearest = nearest_cosine(trace)
    unrelated = None if nearest is None else searched.unrelated
    if nearest is None or unrelated is None or nearest >= unrelated:
        return None
    return nearest, unrelated


def nearest_cosine(trace: "Trace") -> float | None:
    """The best cosine of a vector search; None where there was none, or not of the question.

    Nor does it say anything of a question that is known to be answered.
    """
    if trace.rewrites or trace.as_passage or trace.asked_before:
        return None
    found = [step.scores for step in trace.steps if step.name == "vector" and step.scores]
    return max(max(scores.values()) for scores in found) if found else None
