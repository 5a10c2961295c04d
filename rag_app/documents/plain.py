"""Plain text files."""

from rag_app.documents.content import Content
from rag_app.documents.sources import Source, refuse_endless
from rag_app.text.normalise import decode, normalise


def read_text(source: Source) -> list[Content]:
    """Read a text file as one document."""
    text = decode(source.read_bytes())
    refuse_endless(text)
    return [Content(normalise(text), kind="text")]
