"""Chunks that were read from a store and stay in memory, so that questions do not wait for it."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from rag_app.chunks import chunks_by_document

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

# Some 6 kB each. A store of no more is read whole at the first question, 40 microseconds a chunk.
MOST = 10_000


class ChunkCache:
    """The chunks of a store by their ids: all of a small one, of a large one those last asked for.

    Arguments:
        read: chunk ids, None of all -> their chunks, in any order; ids that are not there are
            left out.
        read_document: document id -> its chunks, in order.
        count: of all chunks.
    """

    def __init__(
        self,
        read: "Callable[[Sequence[str] | None], Iterable[TextNode]]",
        read_document: "Callable[[str], list[TextNode]]",
        count: Callable[[], int],
    ) -> None:
        self._read = read
        self._read_document = read_document
        self._count = count
        self.forget()

    def forget(self) -> None:
        """Read all anew when it is asked for: the store was written to."""
        self._chunks: dict[str, TextNode] = {}
        self._documents: dict[str, list[TextNode]] | None = None

    def get(self, chunk_ids: "Sequence[str]") -> "list[TextNode]":
        """These chunks, in their order; ids that are not there are left out."""
        if not self._chunks:
            self._read_small()
        found = {key: self._chunks[key] for key in chunk_ids if key in self._chunks}
        missing = [key for key in chunk_ids if key not in found]
        if missing:
            read = {chunk.node_id: chunk for chunk in self._read(missing)}
            found |= read
            # What a store that is held whole did not have is another process's.
            if read and (self._documents is not None or len(self._chunks) + len(read) > MOST):
                self.forget()
            self._chunks |= read
        return [found[key] for key in chunk_ids if key in found]

    def of_document(self, document_id: str) -> "list[TextNode]":
        """The chunks of a document, in order; none of a document that is not there."""
        if not self._chunks:
            self._read_small()
        if self._documents is None:
            return self._read_document(document_id)
        return list(self._documents.get(document_id, ()))

    def _read_small(self) -> None:
        if self._count() <= MOST:
            self._chunks = {chunk.node_id: chunk for chunk in self._read(None)}
            self._documents = chunks_by_document(self._chunks.values())
