"""MRR on the dev questions, by which the best checkpoint is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers.base.evaluation import BaseEvaluator

from rag_app.evaluate.ranks import reciprocal_rank
from rag_app.evaluate.statistics import mean_change
from rag_app.evaluate.verdict import certainly_lower
from rag_app.models import EmbeddingModel, Prompts
from rag_app.vectors import Vectors, nearest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from rag_app.index import VectorCache

# The reciprocal rank of each dev question, (n,).
ReciprocalRanks = npt.NDArray[np.float64]

DEV_METRIC = "dev_mrr@10"
# The same as trackers of curves take it: MLflow allows no @.
DEV_CURVE = "dev_mrr_at_10"
DEPTH = 10


@dataclass(frozen=True)
class DevSet:
    """Dev questions over a pool of passages.

    Fields:
        gold: row numbers of the pool, of each question.
        clusters: of each question, see `Question`; empty: none is like another.
    """

    questions: Sequence[str]
    gold: Sequence[frozenset[int]]
    passages: Sequence[str]
    clusters: Sequence[str] = ()


class DevEvaluator(BaseEvaluator):
    """Scores a model in training; sentence-transformers calls it after each epoch."""

    def __init__(
        self, dev: DevSet, prompts: Prompts, *, batch_size: int = 32, bf16: bool = False
    ) -> None:
        super().__init__()
        self.dev = dev
        self.prompts = prompts
        self.batch_size = batch_size
        self.bf16 = bf16
        self.primary_metric = DEV_METRIC

    def __call__(
        self, model: "SentenceTransformer", *_args: Any, **_kwargs: Any
    ) -> dict[str, float]:
        """Mean reciprocal rank of the first right passage among the first ten."""
        return {DEV_METRIC: float(self.ranks(model).mean())}

    def ranks(self, model: "SentenceTransformer") -> ReciprocalRanks:
        """Of each question, see `reciprocal_ranks`."""
        with torch.autocast(model.device.type, torch.bfloat16, enabled=self.bf16):
            queries = self._encode(model, self.dev.questions, self.prompts.query)
            passages = self._encode(model, self.dev.passages, self.prompts.passage)
        return reciprocal_ranks(queries, passages, self.dev.gold)

    def _encode(self, model: "SentenceTransformer", texts: Sequence[str], prompt: str) -> Any:
        return model.encode(
            list(texts),
            prompt=prompt or None,
            batch_size=self.batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )


def reciprocal_ranks(
    queries: Vectors, passages: Vectors, gold: Sequence[frozenset[int]]
) -> ReciprocalRanks:
    """1 / rank of each query's first gold passage, 0 where none is among the first ten: (n,).

    Arguments:
        queries, passages: (n, dim) of unit length.
        gold: the rows of `passages` that answer each query.
    """
    rows, _ = nearest(queries, passages, DEPTH)
    return np.array(
        [reciprocal_rank(found, right) for found, right in zip(rows, gold, strict=True)]
    )


def dev_reciprocal_ranks(
    model: EmbeddingModel, dev: DevSet, cache: "VectorCache"
) -> ReciprocalRanks:
    """The same of a model on the dev questions, with vectors that are kept: (n_questions,)."""
    return reciprocal_ranks(
        cache.embed_queries(model, dev.questions),
        cache.embed_passages(model, dev.passages),
        dev.gold,
    )


def certainly_fell_on_dev(
    dev: DevSet, before: ReciprocalRanks, after: ReciprocalRanks, *, seed: int
) -> bool:
    """Whether MRR@10 on the dev questions certainly fell, as every verdict has it.

    Fewer than six documents or groups of near-duplicates are never certain.
    """
    clusters = dev.clusters or [str(number) for number in range(len(before))]
    return certainly_lower(mean_change(clusters, after - before, seed=seed))
