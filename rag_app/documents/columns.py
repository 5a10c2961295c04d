"""Which columns of a table hold questions and answers, and which tables only label documents."""

from collections.abc import Collection

from rag_app.documents.content import field_key
from rag_app.documents.sources import Source

# What else the two columns may be called where nobody named them.
_SYNONYMS = {"question": "질문", "answer": "답변"}
# Tables that say which document answers a question: labelled pairs, BEIR's judgements.
_LABELS = ({"question", "document", "evidence"}, {"query-id", "corpus-id"})


def named_columns(columns: Collection[str], source: Source) -> tuple[str, str]:
    """Find the columns of question and answer; one that is not there is ""."""
    question = _column(columns, field_key(source.question_column))
    return question, _column(columns, field_key(source.answer_column))


def holds_labels(columns: Collection[str], source: Source) -> bool:
    """Tell whether a table labels documents instead of holding them."""
    pairs = {"question", "document"} <= set(columns) and not named_columns(columns, source)[1]
    return pairs or any(labels <= set(columns) for labels in _LABELS)


def _column(columns: Collection[str], key: str) -> str:
    names = (key, _SYNONYMS.get(key, key))
    return next((name for name in names if name in columns), "")
