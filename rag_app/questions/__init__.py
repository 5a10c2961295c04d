"""Synthetic questions for the chunks of an index: written, kept, filtered, turned into pairs.

The names are loaded when they are used, so that `python -m rag_app.questions --help` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rag_app.questions.filters import Filtered, filter_questions
    from rag_app.questions.generate import (
        QuestionsReport,
        WritingOptions,
        stored_questions,
        usable_questions,
        write_questions,
    )
    from rag_app.questions.question import GeneratedQuestion, to_pairs
    from rag_app.questions.store import ChunkQuestions, QuestionStore

_HOMES = {
    "WritingOptions": "generate",
    "ChunkQuestions": "store",
    "Filtered": "filters",
    "GeneratedQuestion": "question",
    "QuestionStore": "store",
    "QuestionsReport": "generate",
    "filter_questions": "filters",
    "stored_questions": "generate",
    "to_pairs": "question",
    "usable_questions": "generate",
    "write_questions": "generate",
}
__all__ = [
    "ChunkQuestions",
    "Filtered",
    "GeneratedQuestion",
    "QuestionStore",
    "QuestionsReport",
    "WritingOptions",
    "filter_questions",
    "stored_questions",
    "to_pairs",
    "usable_questions",
    "write_questions",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
