"""Vectors of the sentences of chunks, a byte a number."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rag_app.chunks import EMBEDDED_KEY
from rag_app.text.sentences import SENTENCE_SPLITTERS

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.vectors import Vectors

# Chunks whose sentences are embedded together: some 10,000 vectors of four bytes a number.
SLAB = 1000
_LARGEST = 127


@dataclass(frozen=True, eq=False)
class SentenceVectors:
    """Sentences of chunks as vectors of bytes, each with the scale that makes its length one.

    Fields:
        chunk_ids: (n_chunks,), in the order of their rows.
        starts: (n_chunks + 1,) int64; the rows of chunk i are starts[i] to starts[i + 1], one at
            least.
        rows: (n_sentences, dim) int8.
        scales: (n_sentences,) float32.
    """

    chunk_ids: Sequence[str]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls,
        nodes: Iterable["TextNode"],
        embed: "Callable[[Sequence[str]], Vectors]",
        *,
        splitter: str = "rules",
    ) -> "SentenceVectors":
        """Embed the sentences of these chunks.

        Arguments:
            embed: texts -> (n_texts, dim) float32, unit length.
            splitter: how sentences are found, see `rag_app.text.sentences`.
        """
        ids, counts = [], [0]
        parts = [(np.empty((0, 0), np.int8), np.empty(0, np.float32))]
        for slab in _slabs(nodes):
            texts = [sentence_texts(node, splitter) for node in slab]
            ids += [node.node_id for node in slab]
            counts += [len(some) for some in texts]
            parts.append(quantise(embed([text for some in texts for text in some])))
        # Without chunks nobody says how long a vector is.
        columns = zip(*(parts[1:] or parts), strict=True)
        rows, scales = (np.concatenate(column) for column in columns)
        return cls(ids, np.cumsum(counts), rows, scales)

    def best(self, question: "Vectors", chunk_ids: Sequence[str]) -> dict[str, float]:
        """Chunk id -> the highest cosine of its sentences; chunks that are not here are left out.

        Arguments:
            question: (dim,) float32, unit length.
        """
        known = [chunk_id for chunk_id in chunk_ids if chunk_id in self._places]
        if not known:
            return {}
        places = np.array([self._places[chunk_id] for chunk_id in known])
        counts = self.starts[places + 1] - self.starts[places]
        begins = np.cumsum(counts) - counts
        wanted = np.arange(counts.sum()) + np.repeat(self.starts[places] - begins, counts)
        # So little work that threads would wait for each other longer than they work.
        cosines = np.einsum("sd,d->s", self.rows[wanted].astype(np.float32), question)
        cosines *= self.scales[wanted]
        return dict(zip(known, np.maximum.reduceat(cosines, begins).tolist(), strict=True))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {chunk_id: place for place, chunk_id in enumerate(self.chunk_ids)}


def sentence_texts(node: "TextNode", splitter: str) -> list[str]:
    """The different sentences of a chunk, each with the title before it, as chunks have it."""
    sentences = [node.text[start:end] for start, end in SENTENCE_SPLITTERS[splitter](node.text)]
    title = node.metadata.get(EMBEDDED_KEY)
    texts = [f"{title}\n{text}" if title else text for text in sentences or [node.text]]
    return list(dict.fromkeys(texts))


def quantise(vectors: "Vectors") -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Vectors, (n, dim), as bytes, and the scale of each: a row times its scale is the vector."""
    largest = np.abs(vectors).max(axis=1, initial=np.finfo(np.float32).tiny)
    scales = (largest / _LARGEST).astype(np.float32)
    return np.rint(vectors / scales[:, np.newaxis]).astype(np.int8), scales


def _slabs(nodes: Iterable["TextNode"]) -> Iterator[list["TextNode"]]:
    some = iter(nodes)
    while slab := list(itertools.islice(some, SLAB)):
        yield slab
