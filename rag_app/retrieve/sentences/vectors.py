"""Vectors of the sentences of chunks, a byte a number."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag_app.chunks import EMBEDDED_KEY
from rag_app.retrieve.chunk_rows import ChunkRows, quantise, slabs
from rag_app.text.sentences import SENTENCE_SPLITTERS

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.vectors import Vectors

# Chunks whose sentences are embedded together: some 10,000 vectors of four bytes a number.
SLAB = 1000


@dataclass(frozen=True, eq=False)
class SentenceVectors(ChunkRows):
    """The sentences of chunks, one at least of each."""

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
        for slab in slabs(nodes, SLAB):
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
        known, begins, rows = self.gathered(chunk_ids)
        if not known:
            return {}
        cosines = rows.cosines(question[np.newaxis])[:, 0]
        return dict(zip(known, np.maximum.reduceat(cosines, begins).tolist(), strict=True))


def sentence_texts(node: "TextNode", splitter: str) -> list[str]:
    """The different sentences of a chunk, each with the title before it, as chunks have it."""
    sentences = [node.text[start:end] for start, end in SENTENCE_SPLITTERS[splitter](node.text)]
    title = node.metadata.get(EMBEDDED_KEY)
    texts = [f"{title}\n{text}" if title else text for text in sentences or [node.text]]
    return list(dict.fromkeys(texts))
