"""The whole way of a question: the tuned model behind another retriever than vector search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag_app.errors import ConfigError
from rag_app.evaluate.learning import learn_weights
from rag_app.evaluate.scoring import KEPT_RANKS, Outcome, score_questions
from rag_app.finetune.context import TrainingContext
from rag_app.index import Passages
from rag_app.models import EmbeddingModel
from rag_app.pairs import Question
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.retrieve.trace import TracedRetriever

if TYPE_CHECKING:
    from rag_app.finetune.prepare import Prepared


@dataclass(frozen=True)
class WholeWay:
    """A retriever with the weights that it has learned.

    Fields:
        asked: the retriever as it was asked for.
        retrieval: that retriever, or what it falls back to where nothing certain was learned.
        learned: a sentence that says what came of learning; empty where nothing was to be learned.
    """

    asked: str
    retrieval: RetrievalOptions
    learned: str = ""


def check_retrieval(retrieval: RetrievalOptions) -> None:
    """Raise ConfigError for a retriever that the verdict of a tuning cannot be about."""
    if retrieval.questions:
        raise ConfigError(
            "--retriever of finetune takes no +questions: what is held out must not be known; "
            "`rag-app evaluate` scores known questions, each left out while it is asked"
        )
    if retrieval.retriever == "hybrid" and retrieval.hybrid_weight is None:
        raise ConfigError(
            f"{retrieval.spec}: finetune takes a weight, hybrid:0.7, or learns all of them, "
            "hybrid:learned"
        )


def learn_way(
    context: TrainingContext,
    prepared: "Prepared",
    retrieval: RetrievalOptions,
    questions: Sequence[Question],
    *,
    seed: int,
) -> WholeWay:
    """The retriever with its weights learned on training questions.

    They are learned with the base model: the tuned one has learned these very questions, so its
    scores would seem better than they are on others.
    """
    if not retrieval.to_be_learned:
        return WholeWay(retrieval.spec, retrieval)
    searched = _searched(context, prepared, prepared.passages, prepared.base.model)
    learned, reason = learn_weights(
        searched,
        retrieval,
        questions,
        Tools.of(context.workspace),
        learned_on="training questions of rag-app finetune, untuned model",
        seed=seed,
    )
    return WholeWay(retrieval.spec, learned, reason)


def way_outcomes(
    context: TrainingContext,
    prepared: "Prepared",
    passages: Passages,
    model: EmbeddingModel,
    asked: tuple[RetrievalOptions, Sequence[Question]],
) -> list[Outcome]:
    """Score a retriever over passages in memory.

    Arguments:
        passages: with the model's vectors.
        asked: the retriever, and the questions.
    """
    retrieval, questions = asked
    retriever = way_retriever(context, prepared, passages, model, retrieval)
    return score_questions(retriever, questions, depth=KEPT_RANKS, progress=context.progress)


def way_retriever(
    context: TrainingContext,
    prepared: "Prepared",
    passages: Passages,
    model: EmbeddingModel,
    retrieval: RetrievalOptions,
) -> TracedRetriever:
    """The retriever over passages in memory, without known questions."""
    searched = _searched(context, prepared, passages, model)
    tools = Tools.of(context.workspace)
    return build_retriever(
        searched, replace(retrieval, questions=False), top_k=KEPT_RANKS, tools=tools
    )


def _searched(
    context: TrainingContext, prepared: "Prepared", passages: Passages, model: EmbeddingModel
) -> Searched:
    return Searched(prepared.base.index, model, passages, context.cache)
