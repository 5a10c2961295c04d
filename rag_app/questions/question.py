"""A question that was written for a chunk, and the training pair that it becomes."""

from collections.abc import Iterable
from dataclasses import dataclass

from rag_app.pairs import Pair, make_pair
from rag_app.questions.styles import QUESTION


@dataclass(frozen=True, slots=True)
class GeneratedQuestion:
    """One question, the chunk it was written for, and who wrote it how.

    Fields:
        start, end: the chunk's characters in its document's text.
        generator: the language model, such as "gemma-3-270m-q4_k_m", or "headings".
        language: of the passage, as `guess_language` names it.
        style: in which it is asked, see `styles`.
        answered: False where a judge found that the passage does not answer it.
    """

    question: str
    chunk_id: str
    document_id: str
    start: int
    end: int
    generator: str
    prompt_version: str
    language: str
    style: str = QUESTION
    answered: bool = True


def to_pairs(questions: Iterable[GeneratedQuestion]) -> list[Pair]:
    """Pairs of the questions and their chunks' spans; the origin names generator and prompt."""
    return [
        make_pair(
            question.question,
            question.document_id,
            question.start,
            question.end,
            f"{question.generator}/{question.prompt_version}",
        )
        for question in questions
    ]
