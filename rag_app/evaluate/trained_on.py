"""Questions that taught what is to be judged by them: their scores say nothing about new ones."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rag_app.pairs import Pair, question_id, question_key, training_documents

if TYPE_CHECKING:
    from rag_app.retrieve import RetrievalOptions, Tools


def questions_trained_on(
    pairs: Sequence[Pair],
    models: Iterable[object],
    retrievals: Sequence["RetrievalOptions"],
    tools: "Tools",
) -> set[str]:
    """The questions that taught models or retrievals, by `question_key`.

    Those about documents that a model or a reranker was trained on, and those that the weights of a
    hybrid were learned from.

    Arguments:
        models: embedding models.
        retrievals: with what they use of an index: "index" and kept weights are resolved before.
    Raises:
        ModelError: a reranker is not there.
    """
    names = dict.fromkeys(one.rerank for one in retrievals if one.rerank)
    learners = (*dict.fromkeys(models), *map(tools.load_encoder, names))
    documents = frozenset().union(*map(training_documents, learners))
    weights = [one.learned.question_ids or () for one in retrievals if one.learned]
    questions = frozenset().union(*weights)
    return {
        question_key(pair.question)
        for pair in pairs
        if pair.document_id in documents or question_id(pair.question) in questions
    }
