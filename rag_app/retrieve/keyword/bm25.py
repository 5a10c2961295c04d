"""BM25 over passages: what words alone find."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.schema import NodeWithScore

from rag_app.retrieve.keyword.analysis import Analysis
from rag_app.retrieve.keyword.terms import ChunkTerms
from rag_app.retrieve.nodes import Fetch, id_only_nodes
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed
from rag_app.vectors import best_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    from llama_index.core.schema import TextNode

    from rag_app.index import Passages, VectorIndex
    from rag_app.retrieve.filters.where import Where

    Rows = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

# bm25s's own values. Of nine others none was better on our four corpora by more than chance: k1 = 2
# raises MRR by .003 on three of them and lowers it by .004 on the fourth.
BM25_SETTINGS = {"method": "lucene", "k1": 1.5, "b": 0.75}
# Stands for a text without a term.
_NO_TERM = ""


class KeywordIndex:
    """Okapi BM25 by bm25s (Lù 2024, arXiv 2407.03618), with our own terms.

    Arguments:
        bm25: bm25s's index; the places of its texts are the rows that a search returns.
        chunk_ids: of the passages, where they are chunks of an index.
        analysis: how text becomes terms.
    """

    def __init__(self, bm25: Any, chunk_ids: Sequence[str], analysis: Analysis) -> None:
        self.bm25 = bm25
        self.chunk_ids = chunk_ids
        self.analysis = analysis

    @classmethod
    def of_terms(cls, terms: ChunkTerms) -> "KeywordIndex":
        """Index chunks that are taken apart; rows go by document and position."""
        return cls(_bm25(terms.rows(), terms.vocabulary), terms.chunk_ids, terms.analysis)

    @classmethod
    def of(cls, nodes: Iterable["TextNode"]) -> "KeywordIndex":
        """Index nodes as their languages ask for."""
        return cls.of_terms(ChunkTerms.of(nodes))

    def top(self, questions: Sequence[str], top_k: int) -> list["Rows"]:
        """Rows of the best passages of each question, best first; those that share a word only."""
        return [self.search(question, top_k)[0] for question in questions]

    def search(
        self, question: str, top_k: int, allowed: "Mask | None" = None
    ) -> tuple["Rows", "Scores"]:
        """The best passages that share a word with the question, best first.

        Arguments:
            allowed: (n_passages,) true for those that may be returned; None for all.
        Returns:
            rows and BM25 scores, `top_k` at most; equal scores keep the order of the passages.
        """
        known = self.bm25.vocab_dict
        terms = [known[term] for term in self.analysis.terms(question) if term in known]
        if not terms or top_k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = self.bm25.get_scores_from_ids(terms)
        sharing = scores > 0 if allowed is None else (scores > 0) & allowed
        rows = np.flatnonzero(sharing)
        rows = rows[best_rows(scores[rows], top_k)]
        return rows.astype(np.int64), scores[rows]

    def mask(self, chunk_ids: Iterable[str]) -> "Mask":
        """True in the rows of these chunks, for `search`."""
        wanted = frozenset(chunk_ids)
        return np.fromiter((chunk in wanted for chunk in self.chunk_ids), bool, len(self.chunk_ids))


def _bm25(rows: Sequence[list[int]], vocabulary: dict[str, int]) -> Any:
    """bm25s's index of texts whose terms have these numbers."""
    import bm25s  # type: ignore[import-untyped]

    vocabulary = dict(vocabulary)
    no_term = [vocabulary.setdefault(_NO_TERM, len(vocabulary))]
    made = bm25s.BM25(**BM25_SETTINGS)
    made.index(([row or no_term for row in rows] or [no_term], vocabulary), show_progress=False)
    return made


class KeywordRetriever(TracedRetriever):
    """Nodes by BM25, with its scores; only those that share a word with the question.

    Arguments:
        fetch: chunk ids -> their nodes, in any order; one that is gone is left out.
        top_k: nodes to return at most.
        allowed: ids of the chunks that may be returned; None for all.
    """

    def __init__(
        self,
        keyword: KeywordIndex,
        fetch: Fetch,
        *,
        top_k: int,
        allowed: Iterable[str] | None = None,
    ) -> None:
        self.keyword = keyword
        self.fetch = fetch
        self.top_k = top_k
        self.allowed = None if allowed is None else keyword.mask(allowed)
        super().__init__()

    @classmethod
    def over_index(
        cls,
        index: "VectorIndex",
        keyword: KeywordIndex,
        *,
        top_k: int,
        where: "Where | None" = None,
        ids_only: bool = False,
    ) -> "KeywordRetriever":
        """Search an index, fetching what is found; `where` is looked up there, now.

        Arguments:
            ids_only: return nodes that have nothing but their ids, see `rag_app.retrieve.nodes`.
        """
        allowed = None if where is None else index.ids_where(where.filters)
        fetch = id_only_nodes if ids_only else index.get_nodes
        return cls(keyword, fetch, top_k=top_k, allowed=allowed)

    @classmethod
    def over_passages(
        cls,
        passages: "Passages",
        keyword: KeywordIndex,
        *,
        top_k: int,
        where: "Where | None" = None,
    ) -> "KeywordRetriever":
        """Search passages that are in memory, all that `keyword` was made of."""
        nodes = {node.node_id: node for node in passages.nodes}
        allowed = None
        if where is not None:
            allowed = [key for key, node in nodes.items() if where.matches_node(node)]
        return cls(
            keyword,
            lambda chunk_ids: [nodes[chunk_id] for chunk_id in chunk_ids],
            top_k=top_k,
            allowed=allowed,
        )

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Search for each question, then fetch all nodes that were found at once."""
        with timed(traces, "keyword") as rankings:
            found = [self._found(trace.question) for trace in traces]
            chunk_ids = list(dict.fromkeys(chunk_id for hits in found for chunk_id in hits))
            nodes = {node.node_id: node for node in self.fetch(chunk_ids)}
            rankings += [
                [NodeWithScore(node=nodes[i], score=s) for i, s in hits.items() if i in nodes]
                for hits in found
            ]
        return rankings

    def _found(self, question: str) -> dict[str, float]:
        rows, scores = self.keyword.search(question, self.top_k, self.allowed)
        ids = self.keyword.chunk_ids
        return {ids[row]: float(score) for row, score in zip(rows, scores, strict=True)}
