"""Plain text files."""

from rag_app.documents.content import Content
from rag_app.documents.sources import Source
from rag_app.text.normalise import decode, normalise


def read_text(source: Source) -> list[Content]:
    """Read a text file as one document."""
    return [Content(normalise(decode(source.read_bytes())), kind="text")]
