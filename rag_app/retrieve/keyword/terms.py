"""The terms of chunks: what a keyword index is made of, and brought up to date from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rag_app.chunks import passage_text
from rag_app.retrieve.keyword.analysis import Analysis

if TYPE_CHECKING:
    import numpy.typing as npt
    from llama_index.core.schema import TextNode

    Numbers = npt.NDArray[np.uint32]
    Counts = npt.NDArray[np.int64]


class Chunk(NamedTuple):
    """A chunk without its text; it sorts by document and position, as `Passages` does."""

    document_id: str
    position: int
    chunk_id: str
    language: str

    @classmethod
    def of(cls, node: "TextNode") -> "Chunk":
        """What a node says of itself."""
        metadata = node.metadata
        place = int(metadata.get("chunk_index", 0))
        return cls(node.ref_doc_id or "", place, node.node_id, str(metadata.get("language", "")))


@dataclass(frozen=True, eq=False)
class ChunkTerms:
    """The terms of chunks, which are in the order of documents and positions.

    Fields:
        analysis: how texts became terms.
        chunks: (n_chunks,).
        counts: (n_chunks,) how many terms each has.
        numbers: (n_terms,) their numbers, one chunk's after the other's, a repeated one again.
        vocabulary: the number of each term, from 0.
    """

    analysis: Analysis
    chunks: Sequence[Chunk]
    counts: "Counts"
    numbers: "Numbers"
    vocabulary: dict[str, int]

    @classmethod
    def of(cls, nodes: Iterable["TextNode"], analysis: Analysis | None = None) -> "ChunkTerms":
        """Take chunks apart, as their languages ask for unless an analysis is named."""
        read = sorted((Chunk.of(node), passage_text(node)) for node in nodes)
        chunks = [chunk for chunk, _ in read]
        analysis = analysis or _analysis_for(chunks)
        rows, vocabulary = analysis.term_numbers(text for _, text in read)
        counts = np.array([len(row) for row in rows], np.int64)
        numbers = np.fromiter(chain.from_iterable(rows), np.uint32, int(counts.sum()))
        return cls(analysis, chunks, counts, numbers, vocabulary)

    @property
    def chunk_ids(self) -> list[str]:
        """(n_chunks,)."""
        return [chunk.chunk_id for chunk in self.chunks]

    def rows(self) -> list[list[int]]:
        """The numbers of each chunk's terms."""
        # One object a number: twelve million of their own would take 300 MB.
        shared = list(range(len(self.vocabulary))).__getitem__
        ends = np.cumsum(self.counts).tolist()
        return [
            list(map(shared, self.numbers[start:end].tolist()))
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    def changed(self, gone: set[str], nodes: Iterable["TextNode"]) -> "ChunkTerms | None":
        """The same without some chunks and with others.

        Returns:
            None if the languages ask for another analysis then, so that all must be read again.
        """
        new = ChunkTerms.of(nodes, self.analysis)
        stay = np.array([chunk.chunk_id not in gone for chunk in self.chunks], bool)
        kept = [chunk for chunk in self.chunks if chunk.chunk_id not in gone]
        if _analysis_for(kept + list(new.chunks)) != self.analysis:
            return None
        vocabulary = dict(self.vocabulary)
        ours = [vocabulary.setdefault(term, len(vocabulary)) for term in new.vocabulary]
        both = ChunkTerms(
            self.analysis,
            kept + list(new.chunks),
            np.concatenate([self.counts[stay], new.counts]),
            np.concatenate(
                [
                    self.numbers[np.repeat(stay, self.counts)],
                    np.array(ours, np.uint32)[new.numbers],
                ]
            ),
            vocabulary,
        )
        return both._in_order()._without_unused_terms()

    def _in_order(self) -> "ChunkTerms":
        order = sorted(range(len(self.chunks)), key=self.chunks.__getitem__)
        counts = self.counts[order]
        begins = (np.cumsum(self.counts) - self.counts)[order]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return ChunkTerms(
            self.analysis,
            [self.chunks[place] for place in order],
            counts,
            self.numbers[np.repeat(begins, counts) + within],
            self.vocabulary,
        )

    def _without_unused_terms(self) -> "ChunkTerms":
        used = np.bincount(self.numbers, minlength=len(self.vocabulary)) > 0
        new = (np.cumsum(used) - 1).astype(np.uint32)
        vocabulary = {
            term: int(new[number]) for term, number in self.vocabulary.items() if used[number]
        }
        return ChunkTerms(self.analysis, self.chunks, self.counts, new[self.numbers], vocabulary)


def _analysis_for(chunks: Iterable[Chunk]) -> Analysis:
    return Analysis.for_languages(chunk.language for chunk in chunks)
