"""Synthetic questions for the chunks of an index: written, kept, filtered, turned into pairs.

The names are loaded when they are used, so that `python -m rag_app.questions --help` is quick.
"""

from typing import TYPE_CHECKING

from rag_app.lazy_names import loads

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

__getattr__ = loads(__name__, _HOMES)
