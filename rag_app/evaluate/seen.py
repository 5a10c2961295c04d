"""Questions that taught what is to be judged by them: their scores say nothing about new ones."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rag_app.pairs import Pair, question_key, training_documents

if TYPE_CHECKING:
    from rag_app.retrieve import RetrievalOptions, Tools


def seen_questions(
    pairs: Sequence[Pair],
    models: Iterable[object],
    retrievals: Iterable["RetrievalOptions"],
    tools: "Tools",
) -> set[str]:
    """The questions about documents that a model or a reranker was trained on, by `question_key`.

    Arguments:
        models: embedding models.
        retrievals: whose rerankers are looked at; "index" has to be resolved before.
    Raises:
        ModelError: a reranker is not there.
    """
    names = dict.fromkeys(one.rerank for one in retrievals if one.rerank)
    learners = (*dict.fromkeys(models), *map(tools.load_encoder, names))
    documents = frozenset().union(*map(training_documents, learners))
    return {question_key(pair.question) for pair in pairs if pair.document_id in documents}
