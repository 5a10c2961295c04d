"""The questions that settings are compared by: found, fresh to every model, split in two."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.documents import Columns
from rag_app.errors import PairsError
from rag_app.evaluate.stage import find_labelled
from rag_app.llm.choose import LanguageModelOptions
from rag_app.pairs import (
    Pair,
    Split,
    Unmatched,
    document_texts,
    question_key,
    split_pairs,
)
from rag_app.pairs.split import MIN_PAIRS

if TYPE_CHECKING:
    from rag_app.sweep.indexes import Built


def find_pairs(
    questions: Path | None,
    here: "Built",
    *,
    storage: Path,
    llm: LanguageModelOptions,
    columns: Columns,
) -> tuple[list[Pair], Unmatched]:
    """Questions with their answers' places, and those without an answer in the index.

    Arguments:
        questions: labelled ones; None: those that were written for the index.
        here: the index that is in service, in memory.
        storage, llm: where written questions are kept, and whose are looked for first.
        columns: of a table of questions.
    Raises:
        PairsError: none at all, or none of these documents.
    """
    if questions is None:
        from rag_app.questions import to_pairs, usable_questions

        written = usable_questions(storage, llm, here.passages, here.model)
        if not written:
            raise PairsError(
                "there are no questions to compare settings by; name labelled ones: "
                "`rag-app sweep --questions FILE`, or write some: `rag-app questions`"
            )
        return list(to_pairs(written)), Unmatched()
    return find_labelled(questions, here.passages, columns=columns)


def not_trained_on(pairs: Sequence[Pair], trained_on: Collection[str]) -> list[Pair]:
    """Leave out what was trained on; a question of several answers, whole.

    Arguments:
        trained_on: questions that taught one of the settings, by `question_key`.
    Raises:
        PairsError: nothing is left.
    """
    fresh = [pair for pair in pairs if question_key(pair.question) not in trained_on]
    if trained_on and not fresh:
        raise PairsError(
            "all questions are about documents that one of the models was trained on; name "
            "questions about others, or leave the tuned model out with --model, and a tuned "
            "reranker and learned weights with --retriever"
        )
    return fresh


def split_questions(pairs: Sequence[Pair], here: "Built", *, seed: int, test_share: float) -> Split:
    """The questions that choose (`train`) and those that report (`test`), by documents.

    Raises:
        PairsError: too few, or all about documents that repeat each other.
    """
    if len(pairs) < MIN_PAIRS:
        raise PairsError(
            f"{len(pairs)} questions are too few to choose a setting by some and report on others; "
            f"label at least {MIN_PAIRS}, or write some with `rag-app questions`"
        )
    texts = document_texts(here.passages.nodes)
    return split_pairs(pairs, texts, seed=seed, dev_share=0.0, test_share=test_share)


def asked(pairs: Sequence[Pair]) -> int:
    """Questions; one that several documents answer is several pairs."""
    return len({question_key(pair.question) for pair in pairs})
