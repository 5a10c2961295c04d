"""Questions as they are typed: how long they may be, and which of them ask the same words."""

import unicodedata

from rag_app.errors import ConfigError

# Characters; whoever asks with more has pasted a document.
LONGEST_QUESTION = 2000
# What people put after a question, or leave off: "반품되나요", "반품되나요?", "반품되나요 ??".
_CLOSING = " ?!.,~…？！。、"


def question_key(question: str) -> str:
    """What two questions share that differ only in case, width, blanks or closing marks."""
    folded = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return folded.strip(_CLOSING) or folded


def plain_question(text: str) -> str:
    """A question on one line.

    Raises:
        ConfigError: it is empty, endless, or no text.
    """
    question = " ".join(text.split())
    # Halves of characters: how Python keeps bytes that are not UTF-8.
    if any("\ud800" <= letter <= "\udfff" for letter in question):
        raise ConfigError(
            "the question holds bytes that are no text here; type it in UTF-8, and have the "
            "terminal say so: `export LC_ALL=C.UTF-8; unset PYTHONIOENCODING PYTHONUTF8`"
        )
    if not any(character.isalnum() for character in question):
        raise ConfigError("the question is empty; ask with a few words")
    if len(question) > LONGEST_QUESTION:
        raise ConfigError(
            f"the question has {len(question)} characters; ask with {LONGEST_QUESTION} or fewer"
        )
    return question
