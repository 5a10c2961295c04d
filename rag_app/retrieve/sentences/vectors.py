"""Vectors of the sentences of chunks, a byte a number."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag_app.chunks import EMBEDDED_KEY
from rag_app.retrieve.chunk_rows import ChunkRows, Columns, quantise, slabs
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
        ids: list[str] = []
        found: list[Columns] = []
        for slab in slabs(nodes, SLAB):
            ids += [node.node_id for node in slab]
            found += sentence_rows(slab, embed=embed, splitter=splitter)
        counts = np.array([len(one["scales"]) for one in found], np.int64)
        # Without chunks nobody says how long a vector is.
        none: Columns = {"rows": np.empty((0, 0), np.int8), "scales": np.empty(0, np.float32)}
        rows, scales = (
            np.concatenate([one[name] for one in found or [none]]) for name in cls.COLUMNS
        )
        return cls(ids, np.cumsum(counts) - counts, counts, rows, scales)

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


def sentence_rows(
    nodes: "Sequence[TextNode]", *, embed: "Callable[[Sequence[str]], Vectors]", splitter: str
) -> list[Columns]:
    """The columns of each chunk, as `SentenceVectors` has them of all."""
    texts = [sentence_texts(node, splitter) for node in nodes]
    rows, scales = quantise(embed([text for some in texts for text in some]))
    ends = np.cumsum([len(some) for some in texts])[:-1]
    parts = zip(np.split(rows, ends), np.split(scales, ends), strict=True)
    return [{"rows": some, "scales": its} for some, its in parts]


def sentence_texts(node: "TextNode", splitter: str) -> list[str]:
    """The different sentences of a chunk, each with the title before it, as chunks have it."""
    sentences = [node.text[start:end] for start, end in SENTENCE_SPLITTERS[splitter](node.text)]
    title = node.metadata.get(EMBEDDED_KEY)
    texts = [f"{title}\n{text}" if title else text for text in sentences or [node.text]]
    return list(dict.fromkeys(texts))
