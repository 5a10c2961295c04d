"""Questions as they are typed: how long they may be, and which of them ask the same words."""

import unicodedata

# Characters; whoever asks with more has pasted a document.
LONGEST_QUESTION = 2000
# What people put after a question, or leave off: "반품되나요", "반품되나요?", "반품되나요 ??".
_CLOSING = " ?!.,~…？！。、"


def question_key(question: str) -> str:
    """What two questions share that differ only in case, width, blanks or closing marks."""
    folded = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    return folded.strip(_CLOSING) or folded
