"""What each step of a retrieval did, so that a result can explain itself."""

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from rag_app.known import KnownQuestion

Ranking = list[NodeWithScore]


@dataclass(frozen=True, slots=True)
class Step:
    """One step for one question.

    Fields:
        name: such as "vector", "keyword", "hybrid", "rerank", "recency".
        seconds: that it took; of a step that works on many questions at once, each one's share.
        scores: chunk id -> score after the step, best first.
        note: what a reader should know besides, such as a rewritten question.
    """

    name: str
    seconds: float
    scores: dict[str, float]
    note: str = ""

    def rank(self, chunk_id: str) -> int | None:
        """The chunk's place after this step, from 1; None if it is not there."""
        return next((n for n, known in enumerate(self.scores, 1) if known == chunk_id), None)


@dataclass
class Trace:
    """The steps that one question went through, in their order.

    Fields:
        as_passage: the question reads like a passage (HyDE) and is embedded as one.
        rewrites: what a language model made of the question.
        model_calls: prompts that were sent to a language model for it (none for a cached answer).
        warnings: sentences for the user, such as that the language model did not answer.
        asked_before: the known question that it was taken for.
        vectors: what the question was embedded as, (dim,), by the model's fingerprint.
    """

    question: str
    as_passage: bool = False
    steps: list[Step] = field(default_factory=list)
    rewrites: list[str] = field(default_factory=list)
    model_calls: int = 0
    warnings: list[str] = field(default_factory=list)
    asked_before: "KnownQuestion | None" = None
    vectors: dict[str, Vectors] = field(default_factory=dict, compare=False, repr=False)

    def places(self, chunk_id: str) -> list[tuple[Step, int, float]]:
        """The steps that had a chunk, each with its rank and score there."""
        found = ((step, step.rank(chunk_id)) for step in self.steps)
        return [(step, rank, step.scores[chunk_id]) for step, rank in found if rank is not None]

    def to_json(self, chunk_ids: Sequence[str]) -> dict[str, Any]:
        """As `--explain --json` prints it, with the way of these chunks through the steps."""
        return {
            "rewrites": self.rewrites,
            "model_calls": self.model_calls,
            "warnings": self.warnings,
            "steps": [
                {
                    "name": step.name,
                    "milliseconds": round(1000 * step.seconds, 2),
                    "passages": len(step.scores),
                    "note": step.note,
                }
                for step in self.steps
            ],
            "passages": [
                [
                    {"step": step.name, "note": step.note, "rank": rank, "score": score}
                    for step, rank, score in self.places(chunk_id)
                ]
                for chunk_id in chunk_ids
            ],
        }


class TracedRetriever(BaseRetriever):
    """A LlamaIndex retriever that answers many questions at once and keeps a trace of each."""

    def _retrieve(self, query_bundle: QueryBundle, **_: Any) -> Ranking:
        return self.retrieve_many([query_bundle.query_str])[0]

    def retrieve_many(self, questions: Sequence[str]) -> list[Ranking]:
        """One ranking per question, best first."""
        return self.rank([Trace(question) for question in questions])

    @abstractmethod
    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        """Rank for the question of each trace, and add the steps to it."""


@contextmanager
def timed(traces: Sequence[Trace], name: str) -> "Iterator[list[Ranking]]":
    """Time a step over many questions; put their rankings into the list that is given.

    with timed(traces, "vector") as rankings:
        rankings += search(...)
    """
    rankings: list[Ranking] = []
    started = time.perf_counter()
    yield rankings
    seconds = (time.perf_counter() - started) / max(len(traces), 1)
    for trace, ranking in zip(traces, rankings, strict=True):
        scores = {hit.node.node_id: float(hit.score or 0.0) for hit in ranking}
        trace.steps.append(Step(name, seconds, scores))
