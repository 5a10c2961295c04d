"""Small chunks are found, larger pieces of their documents are returned."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import PrivateAttr

from rag_app.chunks import BEGINS_IN_CODE, TABLE_HEADER, overlay

if TYPE_CHECKING:
    ChunksOf = Callable[[str], Sequence[TextNode]]

# Key of a returned piece's metadata that lists the ids of the chunks that it is made of.
COVERS = "covers"


class LargerContext(BaseNodePostprocessor):
    """Returns for each found chunk the piece of its document around it.

    Two found chunks that lie in one piece give one piece; further candidates fill its place.

    Arguments:
        kind: "window": `size` chunks before and after; "parent": the document's chunks in fixed
            groups of `size`, the group that holds the chunk.
        top_k: pieces to return.
        chunks_of: document id -> its chunks, in order.
    """

    kind: str
    size: int
    top_k: int
    _chunks_of: Any = PrivateAttr()

    def __init__(self, kind: str, *, size: int, top_k: int, chunks_of: "ChunksOf") -> None:
        super().__init__(kind=kind, size=size, top_k=top_k)
        self._chunks_of = chunks_of

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows this postprocessor."""
        return "LargerContext"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        pieces = []
        for piece in self._pieces(nodes):
            pieces.append(piece)
            if len(pieces) == self.top_k:
                break
        return pieces

    def _pieces(self, nodes: Sequence[NodeWithScore]) -> Iterator[NodeWithScore]:
        shown: set[str] = set()
        for hit in nodes:
            if hit.node.node_id in shown:
                continue
            around = self._around(hit.node)
            shown.update(chunk.node_id for chunk in around)
            yield NodeWithScore(node=_piece(hit.node, around), score=hit.score)

    def _around(self, node: TextNode) -> list[TextNode]:
        chunks = list(self._chunks_of(node.ref_doc_id))
        place = next((n for n, c in enumerate(chunks) if c.node_id == node.node_id), None)
        if place is None:
            return [node]
        if self.kind == "window":
            return chunks[max(0, place - self.size) : place + self.size + 1]
        first = place - place % self.size
        return chunks[first : first + self.size]


def covered(node: TextNode) -> list[str]:
    """Ids of the chunks whose text a node holds: its own, or those that it was made of."""
    return list(node.metadata.get(COVERS, [node.node_id]))


def _piece(found: TextNode, around: Sequence[TextNode]) -> TextNode:
    """The text of the chunks under the found chunk's id, with exact places."""
    start = min(chunk.start_char_idx for chunk in around)
    piece: TextNode = found.model_copy(deep=True)
    piece.set_content(overlay(around)[start:].rstrip())
    piece.start_char_idx = start
    piece.end_char_idx = max(chunk.end_char_idx for chunk in around)
    for key, value in _place(around).items():
        piece.metadata.pop(key, None)
        piece.metadata |= {} if value is None else {key: value}
    piece.metadata[COVERS] = [chunk.node_id for chunk in around]
    piece.excluded_embed_metadata_keys = [*found.excluded_embed_metadata_keys, COVERS]
    piece.excluded_llm_metadata_keys = [*found.excluded_llm_metadata_keys, COVERS]
    return piece


def _place(around: Sequence[TextNode]) -> dict[str, Any]:
    """What depends on where a piece begins and ends; None of what it has not."""
    first = min(around, key=lambda chunk: chunk.start_char_idx).metadata
    last = max(around, key=lambda chunk: chunk.end_char_idx).metadata
    page, page_end = first.get("page"), last.get("page_end", last.get("page"))
    return {
        "page": page,
        "page_end": None if page == page_end else page_end,
        TABLE_HEADER: first.get(TABLE_HEADER),
        BEGINS_IN_CODE: first.get(BEGINS_IN_CODE),
    }
