"""Which chunks of a document hold a place of its text, and the text that they hold together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from llama_index.core.schema import TextNode


def chunks_by_document(chunks: Iterable[TextNode]) -> dict[str, list[TextNode]]:
    """Group chunks by their document's id, in the order of their places."""
    groups: dict[str, list[TextNode]] = defaultdict(list)
    for chunk in chunks:
        groups[chunk.ref_doc_id].append(chunk)
    for group in groups.values():
        group.sort(key=lambda chunk: (chunk.start_char_idx, chunk.end_char_idx))
    return dict(groups)


def chunks_at(start: int | None, end: int | None, chunks: Sequence[TextNode]) -> frozenset[str]:
    """Ids of a document's chunks that hold a place of its text; empty only without chunks.

    Without a place: all of them. With one: those that cover it; if none does, those that hold half
    of it or more; if none does, the one that holds most.
    """
    if start is None or end is None or not chunks:
        return frozenset(chunk.node_id for chunk in chunks)
    # Below zero where they do not meet, so that the nearest chunk has the most.
    shared = {
        chunk.node_id: min(end, chunk.end_char_idx) - max(start, chunk.start_char_idx)
        for chunk in chunks
    }
    for enough in (end - start, (end - start) / 2):
        if good := [chunk_id for chunk_id, overlap in shared.items() if overlap >= enough]:
            return frozenset(good)
    return frozenset([max(shared, key=lambda chunk_id: shared[chunk_id])])


def overlay(chunks: Sequence[TextNode], *, paragraphs: bool = False) -> str:
    """Lay the texts of one document's chunks over each other; spaces stand where no chunk does.

    Arguments:
        chunks: in the order of their starts.
        paragraphs: line breaks stand where two blanks or more are missing, as between paragraphs.
    Returns:
        text in which the chunks' character places hold.
    """
    pieces: list[str] = []
    length = 0
    for chunk in chunks:
        start, end = chunk.start_char_idx, chunk.end_char_idx
        if end > length:
            gap = start - length
            blank = "\n" if paragraphs and gap > 1 else " "
            pieces += [blank * gap, chunk.text[max(length - start, 0) :]]
            length = end
    return "".join(pieces)
