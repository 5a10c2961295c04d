"""One question and the place in the documents that answers it."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and where its answer stands; what training and evaluation are made of.

    Fields:
        id: content hash of question, document and span, 16 hex digits.
        question: as asked.
        document_id: the document that answers it.
        start, end: the evidence's characters in the document's text; None: the whole document.
        origin: "human", or the generator's name such as "gemma-3-270m/v1".
    """

    id: str
    question: str
    document_id: str
    start: int | None
    end: int | None
    origin: str


def make_pair(
    question: str, document_id: str, start: int | None, end: int | None, origin: str
) -> Pair:
    """Make a pair with the id that its content gives it.

    Raises:
        ValueError: half a span, or an empty one.
    """
    if (start is None) != (end is None):
        raise ValueError(f"a span needs both ends, not {start}..{end}")
    if start is not None and end is not None and not 0 <= start < end:
        raise ValueError(f"{start}..{end} is no span")
    key = f"{question}\0{document_id}\0{start}\0{end}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return Pair(digest, question, document_id, start, end, origin)
