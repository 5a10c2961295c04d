"""Known questions: a question that was asked before brings the passage that answers it, first.

A question counts as asked before where it has the same words as a known one, or is nearer to it
than nearly all known questions are to those of other passages. Of new questions that asks so much
that at most about one in a hundred is taken for a known one, whatever the model's cosines are like:
a fixed cosine that is right for MiniLM lets e5 take every question for a known one. Added to the
passages' own scores, at any weight, known questions harm new ones (docs/measured.md).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.schema import NodeWithScore

from rag_app.chunks import chunks_at
from rag_app.index.known import questions_of
from rag_app.retrieve.exact import embed_questions
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed
from rag_app.text.asked import question_key
from rag_app.text.words import terms
from rag_app.vectors import best_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorCache, VectorIndex
    from rag_app.index.known import KnownOf
    from rag_app.known import KnownQuestion
    from rag_app.retrieve.nodes import Fetch
    from rag_app.vectors import Embedder, Vectors

# Of the cosines between known questions and the nearest one of another passage.
QUANTILE = 0.99
# Vectors of one text differ by rounding with what it is embedded beside, and so do their cosines.
ROUNDING = 5e-5
# Known questions that are compared for it; of fewer than the least only the same words count.
SAMPLED = 500
FEWEST = 50
# Share of the words of two questions that is common to both (Jaccard), where they are one question
# in two spellings; nearer neighbours than these are not looked at.
SAME_WORDING = 0.7
NEIGHBOURS = 50
# Known questions compared with all others at once: 50 x 50,000 cosines are 10 MB.
_SLAB = 50
# Score of a known question that is asked in its own words.
SAME_WORDS = 1.0
# Key of a returned node's metadata.
KNOWN_QUESTION = "known_question"


@dataclass(frozen=True)
class KnownIndex:
    """The known questions of an index with their vectors.

    Fields:
        chunk_ids: of each question, the chunks that answer it, in order.
        vectors: (n_questions, dim) float32, unit length: embedded as questions.
    """

    questions: "list[KnownQuestion]"
    chunk_ids: list[tuple[str, ...]]
    vectors: "Vectors"

    @classmethod
    def of(cls, index: "VectorIndex", model: "Embedder", cache: "VectorCache") -> "KnownIndex":
        """Those of an index, embedded with its model unless the cache has their vectors."""
        from rag_app.index.known import read_known

        known = read_known(index)
        cut = [name for name, each in known.items() if each.chunk_count > 1]
        chunks = index.chunks_of_documents(cut)
        questions = [one for each in known.values() for one in each.questions]
        places = [
            _answering(one, each, chunks.get(name, ()))
            for name, each in known.items()
            for one in each.questions
        ]
        vectors = cache.embed_queries(model, [one.text for one in questions])
        return cls(questions, places, vectors)

    @classmethod
    def of_questions(
        cls,
        questions: "Sequence[KnownQuestion]",
        chunks_of: "Callable[[str], Sequence[TextNode]]",
        model: "Embedder",
        cache: "VectorCache",
    ) -> "KnownIndex":
        """Questions that no index keeps; `chunks_of` gives the chunks of a document."""
        places = [_chunk_ids(one, chunks_of(one.document_id)) for one in questions]
        vectors = cache.embed_queries(model, [one.text for one in questions])
        return cls(list(questions), places, vectors)

    def scores(self, trace: Trace, vector: "Vectors", *, held_out: bool = False) -> "Vectors":
        """The cosine of each known question to one that is asked, (n_questions,).

        It is 1 where both have the same words.

        Arguments:
            held_out: the question itself, and what has nearly its words, is -1: not known.
        """
        scores: Vectors = self.vectors @ vector
        same = self._rows.get(question_key(trace.question), [])
        scores[same] = -1.0 if held_out else SAME_WORDS
        if held_out:
            near = best_rows(scores, NEIGHBOURS).tolist()
            texts = {row: self.questions[row].text for row in near}
            scores[[row for row in near if same_wording(texts[row], trace.question)]] = -1.0
        return scores

    @cached_property
    def enough(self) -> float:
        """The cosine above which a question was asked before; of few none but the same words."""
        if len(self.questions) < FEWEST:
            return SAME_WORDS
        rows = np.arange(0, len(self.questions), max(len(self.questions) // SAMPLED, 1))
        nearest: list[float] = []
        for slab in np.array_split(rows, max(len(rows) // _SLAB, 1)):
            cosines = self.vectors[slab] @ self.vectors.T
            nearest += map(self._nearest_other, slab, cosines)
        # Two questions that are each other's nearest must not both lie above it.
        return float(np.quantile(nearest, QUANTILE, method="higher")) + ROUNDING

    def asked_before(self, scores: "Vectors") -> "npt.NDArray[np.bool_]":
        """Which known questions are the one that was asked, by their scores."""
        return (scores > self.enough) | (scores >= SAME_WORDS)

    def _nearest_other(self, row: int, cosines: "Vectors") -> float:
        """Cosine of the nearest question of another passage, in other words if any is near."""
        own = self.questions[row]
        others = [
            other
            for other in best_rows(cosines, NEIGHBOURS).tolist()
            if self.questions[other].document_id != own.document_id
        ]
        differing = (o for o in others if not same_wording(self.questions[o].text, own.text))
        nearest = next(differing, others[0] if others else row)
        return float(cosines[nearest])

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = defaultdict(list)
        for row, question in enumerate(self.questions):
            rows[question_key(question.text)].append(row)
        return rows

    @cached_property
    def rows_of(self) -> dict[str, list[int]]:
        """Chunk id -> its known questions, as rows."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, chunk_ids in enumerate(self.chunk_ids):
            for chunk_id in chunk_ids:
                rows[chunk_id].append(row)
        return rows


def same_wording(one: str, other: str) -> bool:
    """Whether two questions are one in two spellings."""
    left, right = frozenset(terms(one)), frozenset(terms(other))
    return len(left & right) >= SAME_WORDING * len(left | right)


def _answering(
    question: "KnownQuestion", known: "KnownOf", chunks: "Sequence[TextNode]"
) -> tuple[str, ...]:
    return _chunk_ids(question, chunks) if chunks else (known.chunk_id,)


def _chunk_ids(question: "KnownQuestion", chunks: "Sequence[TextNode]") -> tuple[str, ...]:
    """The chunks of its document that answer a question, in order."""
    right = chunks_at(question.start, question.end, chunks)
    return tuple(chunk.node_id for chunk in chunks if chunk.node_id in right)


class KnownFirst(TracedRetriever):
    """Puts the passages first that answer a question asked before; each hit tells its own question.

    Of a document that answers as a whole the chunk comes first that the other retriever ranks best.
    The other hits stay as they are.

    Arguments:
        retriever: ranks without known questions.
        fetch: chunk ids -> their nodes; one that is gone is left out.
        allowed: ids of the chunks that may be returned; None for all.
        held_out: for evaluation: what is asked is not known, nor what has nearly its words.
    """

    def __init__(
        self,
        retriever: TracedRetriever,
        known: KnownIndex,
        model: "Embedder",
        fetch: "Fetch",
        *,
        top_k: int,
        cache: "VectorCache | None" = None,
        allowed: "Collection[str] | None" = None,
        held_out: bool = False,
    ) -> None:
        self.retriever = retriever
        self.known = known
        self.model = model
        self.fetch = fetch
        self.top_k = top_k
        self.cache = cache
        self.allowed = None if allowed is None else frozenset(allowed)
        self.held_out = held_out
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Rank by the other retriever, then look each question up among the known ones."""
        found = self.retriever.rank(traces)
        with timed(traces, "questions") as rankings:
            vectors = embed_questions(traces, self.model, self.cache)
            scores = [
                self.known.scores(trace, vector, held_out=self.held_out)
                for trace, vector in zip(traces, vectors, strict=True)
            ]
            rankings += map(self._reordered, found, scores)
        for trace, each in zip(traces, scores, strict=True):
            self._note(trace, each)
        return rankings

    def _reordered(self, ranking: Ranking, scores: "Vectors") -> Ranking:
        first = self._first(ranking, scores)
        nodes = {hit.node.node_id: hit.node for hit in ranking}
        missing = [chunk_id for chunk_id in first if chunk_id not in nodes]
        nodes |= {node.node_id: node for node in self.fetch(missing)} if missing else {}
        highest = max((float(hit.score or 0.0) for hit in ranking), default=-1.0)
        # What follows may sort by score.
        hits = [
            NodeWithScore(node=nodes[chunk_id], score=max(score, highest))
            for chunk_id, score in first.items()
            if chunk_id in nodes
        ]
        hits += [hit for hit in ranking if hit.node.node_id not in first]
        return [self._telling(hit, scores) for hit in hits[: self.top_k]]

    def _first(self, ranking: Ranking, scores: "Vectors") -> dict[str, float]:
        """Chunks that answer the known questions that are near enough, best first."""
        places = {hit.node.node_id: place for place, hit in enumerate(ranking)}
        rows = np.flatnonzero(self.known.asked_before(scores))
        found: list[tuple[float, int, str]] = []
        for row in rows:
            some = [one for one in self.known.chunk_ids[row] if self._may_return(one)]
            if some:
                best = min(some, key=lambda one: places.get(one, len(places)))
                score = round(float(scores[row]), 4)
                found.append((-score, places.get(best, len(places)), best))
        first: dict[str, float] = {}
        for negative, _, chunk_id in sorted(found):
            first.setdefault(chunk_id, -negative)
        return first

    def _may_return(self, chunk_id: str) -> bool:
        return self.allowed is None or chunk_id in self.allowed

    def _telling(self, hit: NodeWithScore, scores: "Vectors") -> NodeWithScore:
        """The hit with the nearest known question of its chunk, if it has one."""
        rows = self.known.rows_of.get(hit.node.node_id)
        if not rows:
            return hit
        question = self.known.questions[max(rows, key=lambda row: scores[row])]
        return NodeWithScore(node=_with_question(hit.node, question), score=hit.score)

    def _note(self, trace: Trace, scores: "Vectors") -> None:
        [best] = best_rows(scores, 1).tolist()
        question, cosine = self.known.questions[best], float(scores[best])
        if self.known.asked_before(scores)[best]:
            trace.asked_before = question
        said = "asked before" if trace.asked_before else "not asked before; the nearest is"
        note = f'{said}: "{question.text}" ({question.place}), cosine {cosine:.3f}'
        if not trace.asked_before:
            note += f", {self.known.enough:.3f} would count"
        trace.steps[-1] = replace(trace.steps[-1], note=note)


def with_own_questions(index: "VectorIndex", hits: Ranking) -> Ranking:
    """Hits of a table's rows tell the row's first question, where nothing else names them.

    For people: whatever found them, they should not read the id of a document.
    """
    nameless = {
        str(hit.node.ref_doc_id)
        for hit in hits
        if not (hit.node.metadata.get("title") or KNOWN_QUESTION in hit.node.metadata)
    }
    if not nameless:
        return hits
    found = questions_of(index, nameless).items()
    named = {document: [one for one in known if one.name] for document, known in found}
    return [
        NodeWithScore(node=_with_question(hit.node, own[0]), score=hit.score)
        if (own := named.get(str(hit.node.ref_doc_id)))
        else hit
        for hit in hits
    ]


def _with_question(node: Any, question: "KnownQuestion") -> Any:
    """A copy of a node whose metadata has the question, for people: nothing else reads it."""
    told = {name: getattr(question, name) for name in ("text", "row", "sheet", "origin", "place")}
    return node.model_copy(
        update={
            "metadata": {**node.metadata, KNOWN_QUESTION: told},
            "excluded_embed_metadata_keys": [*node.excluded_embed_metadata_keys, KNOWN_QUESTION],
            "excluded_llm_metadata_keys": [*node.excluded_llm_metadata_keys, KNOWN_QUESTION],
        }
    )
