"""Document -> TextNode: sizes in the model's tokens, exact spans, content-hash ids.

LlamaIndex's SentenceSplitter finds a chunk's place by searching its text in the document, which
goes wrong where a text repeats, and counts tokens of another tokenizer unless told; this parser has
the same interface and works on spans from the start.
"""

from rag_app.chunking import WHOLE_PASSAGES, Chunking
from rag_app.chunks.chunker import PassageModel, SentenceChunker
from rag_app.chunks.nodes import (
    BEGINS_IN_CODE,
    CHUNK_KEYS,
    EMBEDDED_KEY,
    PAGE_STARTS,
    TABLE_HEADER,
    build_nodes,
    document_hash,
    passage_text,
)
from rag_app.chunks.places import chunks_at, chunks_by_document, overlay
from rag_app.chunks.token_spans import TokenSpans, windows

__all__ = [
    "BEGINS_IN_CODE",
    "CHUNK_KEYS",
    "EMBEDDED_KEY",
    "PAGE_STARTS",
    "TABLE_HEADER",
    "WHOLE_PASSAGES",
    "Chunking",
    "PassageModel",
    "SentenceChunker",
    "TokenSpans",
    "build_nodes",
    "chunks_at",
    "chunks_by_document",
    "document_hash",
    "overlay",
    "passage_text",
    "windows",
]
