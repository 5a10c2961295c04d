"""A question with what its source says about the answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """A question before its answer is looked up in an index; what its source does not say is None.

    Fields:
        passage: the text that answers it.
        document: id, or the end of the id, of the document that answers it (or a chunk's id).
        evidence: what in that document answers it, word for word.
        start, end: where the evidence stands in the document's text.
        origin: "human", or who wrote the question.

    >>> LabelledQuestion("when do you open", document="hours.md", evidence="from nine").origin
    'human'
    """

    question: str
    passage: str | None = None
    document: str | None = None
    evidence: str | None = None
    start: int | None = None
    end: int | None = None
    origin: str = "human"
