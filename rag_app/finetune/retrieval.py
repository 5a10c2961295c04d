"""The retriever that a verdict is about: the tuned model behind more than vector search."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag_app.errors import ConfigError
from rag_app.evaluate.learning import learn_weights
from rag_app.evaluate.scoring import KEPT_RANKS, Outcome, score_questions
from rag_app.finetune.context import TrainingContext
from rag_app.pairs import (
    Question,
    Split,
    question_id,
    question_key,
    training_documents,
    training_questions,
)
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.retrieve.options import KEPT
from rag_app.retrieve.trace import TracedRetriever


@dataclass(frozen=True)
class JudgedRetrieval:
    """A retriever with the weights that it has learned.

    Fields:
        asked: the retriever as it was asked for.
        options: that retriever, or what it falls back to where nothing certain was learned.
        learned: a sentence that says what came of learning; empty where nothing was to be learned.
    """

    asked: str
    options: RetrievalOptions
    learned: str = ""


def check_retrieval(retrieval: RetrievalOptions) -> None:
    """Raise ConfigError for a retriever that the verdict of a tuning cannot be about."""
    if retrieval.retriever == KEPT:
        raise ConfigError(
            "--retriever of finetune names the retriever that the verdict is about, such as vector "
            "or hybrid:learned; the tuned index keeps it"
        )
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


def refuse_trained_on(
    context: TrainingContext, retrieval: RetrievalOptions, splits: Sequence[Split]
) -> None:
    """Raise ConfigError where the reranker learned from what is held out.

    That is the documents of the test questions; of questions about known documents, themselves.
    """
    if retrieval.rerank is None:
        return
    reranker = context.workspace.load_cross_encoder(retrieval.rerank)
    documents, questions = training_documents(reranker), training_questions(reranker)
    test = [pair for split in splits for pair in split.test]
    known = [pair for split in splits for pair in split.known]
    trained_on = {question_key(pair.question) for pair in test if pair.document_id in documents}
    trained_on |= {
        question_key(pair.question)
        for pair in known
        # Those that an earlier version tuned have kept no questions.
        if pair.document_id in documents
        and (questions is None or question_id(pair.question) in questions)
    }
    if trained_on:
        asked = len({question_key(pair.question) for pair in (*test, *known)})
        raise ConfigError(
            f"{retrieval.rerank} learned from {len(trained_on)} of {asked} test "
            "questions; name the reranker that it was tuned from, or one that was tuned on the "
            "same split of the same pairs (same --seed, --test-share and --held-out, no --folds)"
        )


def learn_retrieval(
    context: TrainingContext,
    base: Searched,
    retrieval: RetrievalOptions,
    questions: Sequence[Question],
    *,
    seed: int,
) -> JudgedRetrieval:
    """The retriever with its weights learned on training questions.

    They are learned with the base model: the tuned one has learned these very questions, so its
    scores would seem better than they are on others.
    """
    if not retrieval.to_be_learned:
        return JudgedRetrieval(retrieval.spec, retrieval)
    learned, reason = learn_weights(
        base,
        retrieval,
        questions,
        Tools.of(context.workspace),
        learned_on="training questions of rag-app finetune, untuned model",
        seed=seed,
    )
    return JudgedRetrieval(retrieval.spec, learned, reason)


def retrieval_outcomes(
    context: TrainingContext,
    searched: Searched,
    retrieval: RetrievalOptions,
    questions: Sequence[Question],
    *,
    known: bool = False,
) -> list[Outcome]:
    """Score a retriever over passages in memory; `known`: behind the known questions."""
    retriever = retriever_in_memory(context, searched, retrieval, known=known)
    return score_questions(retriever, questions, depth=KEPT_RANKS, progress=context.progress)


def retriever_in_memory(
    context: TrainingContext,
    searched: Searched,
    retrieval: RetrievalOptions,
    *,
    known: bool = False,
) -> TracedRetriever:
    """The retriever over passages in memory; `known`: behind the known questions."""
    tools = Tools.of(context.workspace)
    return build_retriever(
        searched, replace(retrieval, questions=known), top_k=KEPT_RANKS, tools=tools
    )
