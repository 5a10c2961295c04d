"""Files -> LlamaIndex documents.

sources   named paths -> files with their ids
content   what every reader returns, and the Document made of it
plain markdown html pdf cells json_lines tables corpora    the readers
reading   the table of readers, and the one function that runs them
"""

from rag_app.documents.content import Content
from rag_app.documents.left_out import LeftOut
from rag_app.documents.reading import (
    READERS,
    Reader,
    ReadResult,
    nothing_in,
    read_documents,
    read_sources,
    why_skipped,
)
from rag_app.documents.sources import Columns, Failure, Source
from rag_app.documents.tables import Row, read_rows

__all__ = [
    "READERS",
    "Columns",
    "Content",
    "Failure",
    "LeftOut",
    "ReadResult",
    "Reader",
    "Row",
    "Source",
    "nothing_in",
    "read_documents",
    "read_rows",
    "read_sources",
    "why_skipped",
]
