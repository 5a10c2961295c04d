"""Labelled pairs -> known questions of an index."""

from collections.abc import Iterable

from rag_app.index import VectorIndex, add_known
from rag_app.known import KnownQuestion, without_repeats
from rag_app.pairs.pair import Pair


def remember_pairs(index: VectorIndex, pairs: Iterable[Pair]) -> int:
    """Make the questions of pairs known to an index; returns how many it did not know yet.

    In evaluation a question is not among the known ones while it is asked.

    Raises:
        IndexLocked: another process writes the index.
    """
    return add_known(index, known_questions(pairs))


def known_questions(pairs: Iterable[Pair]) -> list[KnownQuestion]:
    """The questions of pairs as known ones; of two that ask the same of one place, the first."""
    return without_repeats(
        KnownQuestion(pair.question, pair.document_id, pair.start, pair.end, pair.origin)
        for pair in pairs
    )
