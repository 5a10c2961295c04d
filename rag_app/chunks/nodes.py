"""Spans of a document -> nodes with all they need to be found, and what is embedded of them."""

import bisect
import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, TextNode

from rag_app.chunks.packing import table_header
from rag_app.known import KNOWN_QUESTIONS
from rag_app.text.layout import Layout
from rag_app.text.sentences import Span

# Of a document's metadata only this is embedded with a chunk: it says what the chunk is about.
EMBEDDED_KEY = "title"
# Embedded too, of a chunk that begins among the rows of a table: what its columns are.
TABLE_HEADER = "table_header"
_EMBEDDED = (EMBEDDED_KEY, TABLE_HEADER)
PAGE_STARTS = "page_starts"
# Of a chunk whose first lines belong to a block of code that began before.
BEGINS_IN_CODE = "begins_in_code"
# Of a document and not of its chunks.
_DOCUMENT_KEYS = {PAGE_STARTS, KNOWN_QUESTIONS}
# What a chunk's metadata has besides its document's.
CHUNK_KEYS = (
    *("document_hash", "chunk_index", "chunk_count", "page", "page_end"),
    *(TABLE_HEADER, BEGINS_IN_CODE),
)


def build_nodes(
    document: BaseNode, text: str, spans: Sequence[Span], *, layout: Layout | None = None
) -> list[TextNode]:
    """Nodes for the spans of one document, linked in order, each with all it needs to be found.

    Arguments:
        layout: of the text; found unless given.
    """
    metadata = {key: value for key, value in document.metadata.items() if key not in _DOCUMENT_KEYS}
    page_starts: list[int] = json.loads(document.metadata.get(PAGE_STARTS, "[]"))
    layout = layout or Layout.of(text)
    digest = document_hash(document)
    nodes = []
    for index, span in enumerate(spans):
        own = {"document_hash": digest, "chunk_index": index, "chunk_count": len(spans)}
        place = _pages(span, page_starts) | _within(span[0], layout)
        nodes.append(_node(document.node_id, text, span, {**metadata, **own, **place}))
    for before, behind in itertools.pairwise(nodes):
        before.relationships[NodeRelationship.NEXT] = behind.as_related_node_info()
        behind.relationships[NodeRelationship.PREVIOUS] = before.as_related_node_info()
    return nodes


def _pages(span: Span, page_starts: Sequence[int]) -> dict[str, int]:
    """The page on which a chunk begins and, where that is another, the one on which it ends."""
    if not page_starts:
        return {}
    start, end = span
    first = bisect.bisect_right(page_starts, start)
    last = bisect.bisect_right(page_starts, end - 1)
    return {"page": first, "page_end": last} if last > first else {"page": first}


def _within(start: int, layout: Layout) -> dict[str, Any]:
    """What a chunk that begins here is in the middle of: a table, a block of code."""
    header = table_header(layout, start)
    if header:
        return {TABLE_HEADER: layout.text[slice(*header)].rstrip()}
    return {BEGINS_IN_CODE: True} if layout.in_code(start) else {}


def _node(document_id: str, text: str, span: Span, metadata: dict[str, Any]) -> TextNode:
    from llama_index.core.schema import RelatedNodeInfo

    start, end = span
    hidden = [key for key in metadata if key not in _EMBEDDED]
    node = TextNode(
        text=text[start:end],
        start_char_idx=start,
        end_char_idx=end,
        metadata=metadata,
        excluded_embed_metadata_keys=hidden,
        excluded_llm_metadata_keys=hidden,
        metadata_template="{value}",
        text_template="{metadata_str}\n{content}",
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document_id)},
    )
    key = f"{document_id}\0{start}\0{end}\0{passage_text(node)}"
    node.id_ = hashlib.sha256(key.encode()).hexdigest()[:32]
    return node


def passage_text(node: BaseNode) -> str:
    """What is embedded for a chunk, in ingest, training and evaluation alike.

    Its title, the header of the table that it goes on with, and its text.
    """
    text: str = node.get_content(metadata_mode=MetadataMode.EMBED)
    return text


def document_hash(document: BaseNode) -> str:
    """Hash of a document's text and metadata, 16 hex digits: it changes when anything does.

    Save for the questions that it is known to answer, which are no part of its chunks.
    """
    content = document.get_content(metadata_mode=MetadataMode.NONE)
    own = {key: value for key, value in document.metadata.items() if key != KNOWN_QUESTIONS}
    metadata = json.dumps(own, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(f"{content}\0{metadata}".encode()).hexdigest()[:16]
