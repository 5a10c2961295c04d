"""LlamaIndex's RetrieverEvaluator and metric classes, made fit for many questions and for cut-offs.

Theirs asks the model again for each question, raises when nothing is retrieved, and scores the list
as long as it happens to be.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from llama_index.core.evaluation.retrieval.evaluator import RetrieverEvaluator
from llama_index.core.evaluation.retrieval.metrics import METRIC_REGISTRY
from llama_index.core.evaluation.retrieval.metrics_base import (
    BaseRetrievalMetric,
    RetrievalMetricResult,
)
from llama_index.core.schema import NodeWithScore, QueryBundle

from rag_app.progress import Progress, silent


class MetricAtK(BaseRetrievalMetric):
    """A LlamaIndex metric over the first `k` retrieved ids; 0 where nothing was retrieved."""

    metric: BaseRetrievalMetric
    k: int

    @classmethod
    def from_name(cls, name: str) -> "MetricAtK":
        """The metric of a name such as "ndcg@10"; the part before @ is LlamaIndex's name."""
        kind, _, k = name.partition("@")
        return cls(metric=METRIC_REGISTRY[kind](), k=int(k))

    @property
    def metric_name(self) -> str:
        """Name under which results are stored, such as "hit_rate@3"."""
        return f"{self.metric.metric_name}@{self.k}"

    def compute(
        self,
        query: str | None = None,
        expected_ids: list[str] | None = None,
        retrieved_ids: list[str] | None = None,
        *_texts: object,
        **_options: object,
    ) -> RetrievalMetricResult:
        """Score one ranking, best first, against the ids that should be in it.

        Raises:
            ValueError: no expected ids (from LlamaIndex).
        """
        if not retrieved_ids:
            return RetrievalMetricResult(score=0.0)
        top = retrieved_ids[: self.k]
        # LlamaIndex's ideal list holds every expected id, so that past k of them even a perfect
        # ranking scores below 1; the ideal for k places holds k.
        fitting = sorted(expected_ids or [], key=lambda expected: expected not in top)[: self.k]
        return self.metric.compute(query, fitting, top)


class BatchRetrieverEvaluator(RetrieverEvaluator):
    """A RetrieverEvaluator that asks all questions at once where the retriever can."""

    @classmethod
    def from_metric_names(
        cls, metric_names: Sequence[str], **options: Any
    ) -> "BatchRetrieverEvaluator":
        """An evaluator for names such as "mrr@10"; options as for RetrieverEvaluator."""
        return cls(metrics=[metric_of(name) for name in metric_names], **options)

    def retrieve_all(
        self, queries: Sequence[str], *, progress: Progress = silent
    ) -> list[list[NodeWithScore]]:
        """One ranking per query, best first, after the node postprocessors.

        A node that a batch holds twice is kept once, as LlamaIndex's `retrieve` does.

        Raises:
            RuntimeError: the retriever's batch does not have one ranking per query.
        """
        progress("retrieve", 0, len(queries))
        if hasattr(self.retriever, "retrieve_many"):
            rankings = [list(ranking) for ranking in self.retriever.retrieve_many(list(queries))]
            progress("retrieve", len(rankings), len(queries))
        else:
            rankings = self._retrieve_each(queries, progress)
        if len(rankings) != len(queries):
            raise RuntimeError(f"{len(queries)} questions were asked, {len(rankings)} answered")
        return [
            self._postprocess(query, _distinct(ranking))
            for query, ranking in zip(queries, rankings, strict=True)
        ]

    def _retrieve_each(
        self, queries: Sequence[str], progress: Progress
    ) -> list[list[NodeWithScore]]:
        rankings = []
        for done, query in enumerate(queries, start=1):
            rankings.append(list(self.retriever.retrieve(query)))
            progress("retrieve", done, len(queries))
        return rankings

    def _postprocess(self, query: str, ranking: list[NodeWithScore]) -> list[NodeWithScore]:
        for postprocessor in self.node_postprocessors or ():
            ranking = postprocessor.postprocess_nodes(ranking, query_bundle=QueryBundle(query))
        return ranking


def score_ranking(
    metric_names: Sequence[str], query: str, expected_ids: list[str], retrieved_ids: list[str]
) -> dict[str, float]:
    """Every metric of one ranking, by name."""
    return {
        name: float(metric_of(name).compute(query, expected_ids, retrieved_ids).score)
        for name in metric_names
    }


@cache
def metric_of(name: str) -> MetricAtK:
    """The metric of a name such as "mrr@10"."""
    return MetricAtK.from_name(name)


def _distinct(ranking: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    first: dict[str, NodeWithScore] = {}
    for hit in ranking:
        first.setdefault(hit.node.node_id, hit)
    return list(first.values())
