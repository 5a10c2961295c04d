"""Vectors of the parts of chunks, a byte a number: of their sentences, or of their tokens."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rag_app.models.threads import one_thread

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.vectors import Vectors

# Of one chunk, what there is of its rows by column.
Columns = dict[str, npt.NDArray[Any]]
_LARGEST = 127


@dataclass(frozen=True, eq=False)
class ChunkRows:
    """Parts of chunks as vectors of bytes, each with the scale that makes its length one.

    Fields:
        chunk_ids: (n_chunks,).
        starts, counts: (n_chunks,) int64 each; chunk i has counts[i] rows from starts[i] on.
        rows: (n_rows, dim) int8.
        scales: (n_rows,) float32.
    """

    # What there is of each row, as it lies on disk.
    COLUMNS: ClassVar[dict[str, Any]] = {"rows": np.int8, "scales": np.float32}

    chunk_ids: Sequence[str]
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    def columns(self, chunk_id: str) -> Columns | None:
        """The rows of a chunk, (n_rows, ...) by column; None of a chunk that is not here."""
        place = self._places.get(chunk_id)
        if place is None:
            return None
        rows = slice(self.starts[place], self.starts[place] + self.counts[place])
        return {name: getattr(self, name)[rows] for name in self.COLUMNS}

    def gathered(self, chunk_ids: Sequence[str]) -> "tuple[list[str], npt.NDArray[np.int64], Rows]":
        """The rows of some chunks, one chunk's after the other's.

        Returns:
            the chunks that have rows, (n_chunks,) where the rows of each begin, and the rows.
        """
        known = [chunk_id for chunk_id in chunk_ids if chunk_id in self._places]
        places = np.array([self._places[chunk_id] for chunk_id in known], np.int64)
        counts = self.counts[places]
        known = [chunk_id for chunk_id, count in zip(known, counts, strict=True) if count]
        places, counts = places[counts > 0], counts[counts > 0]
        begins = np.cumsum(counts) - counts
        wanted = np.arange(counts.sum()) + np.repeat(self.starts[places] - begins, counts)
        return known, begins, Rows(self.rows[wanted], self.scales[wanted])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {chunk_id: place for place, chunk_id in enumerate(self.chunk_ids)}


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Some vectors of bytes, (n_rows, dim), and their scales, (n_rows,)."""

    rows: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    def cosines(self, vectors: "Vectors") -> npt.NDArray[np.float32]:
        """(n_rows, n_vectors), with vectors of unit length."""
        with one_thread():
            products = self.rows.astype(np.float32) @ vectors.T
        return np.asarray(products * self.scales[:, np.newaxis])


def quantise(vectors: "Vectors") -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Vectors, (n, dim), as bytes, and the scale of each: a row times its scale is the vector."""
    largest = np.abs(vectors).max(axis=1, initial=np.finfo(np.float32).tiny)
    scales = (largest / _LARGEST).astype(np.float32)
    return np.rint(vectors / scales[:, np.newaxis]).astype(np.int8), scales


def slabs(nodes: "Iterable[TextNode]", size: int) -> "Iterator[list[TextNode]]":
    """So many chunks at a time, that the embeddings of all need not be in memory."""
    some = iter(nodes)
    while slab := list(itertools.islice(some, size)):
        yield slab
