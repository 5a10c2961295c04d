"""Synthetic questions for the chunks of an index: written, kept, filtered, turned into pairs."""

from rag_app.questions.filters import Filtered, filter_questions
from rag_app.questions.generate import QuestionsReport, usable_questions, write_questions
from rag_app.questions.question import GeneratedQuestion, to_pairs
from rag_app.questions.store import ChunkQuestions, QuestionStore

__all__ = [
    "ChunkQuestions",
    "Filtered",
    "GeneratedQuestion",
    "QuestionStore",
    "QuestionsReport",
    "filter_questions",
    "to_pairs",
    "usable_questions",
    "write_questions",
]
