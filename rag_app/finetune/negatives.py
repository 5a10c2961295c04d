"""Passages that do not answer a question, to train against: random ones, or hard ones."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rag_app.finetune.options import TrainingRow
from rag_app.models.embedding import Vectors
from rag_app.retrieve.exact import nearest

NegativeKind = Literal["none", "random", "mined"]
KINDS: tuple[NegativeKind, ...] = ("none", "random", "mined")

# A passage that scores above this share of the right one's score may be right as well: the
# positive-aware margin of Moreira et al. 2024, "NV-Retriever", arXiv 2407.15831, section 3.
POSITIVE_SHARE = 0.95
# Nearest passages that negatives are chosen from.
DEPTH = 50


@dataclass(frozen=True)
class NegativeOptions:
    """Which negatives rows get.

    Fields:
        kind: "none": only the other passages of the batch.
        per_pair: negatives of each pair.
        rounds: times that mined ones are chosen anew, with the model as tuned so far.
    """

    kind: NegativeKind = "none"
    per_pair: int = 1
    rounds: int = 1


@dataclass(frozen=True)
class NegativePool:
    """Passages that may be negatives, and the cluster of near-duplicates that each belongs to."""

    texts: Sequence[str]
    clusters: Sequence[str]


def random_negatives(
    rows: Sequence[TrainingRow],
    clusters: Sequence[str],
    pool: NegativePool,
    count: int,
    *,
    seed: int,
) -> list[TrainingRow]:
    """Rows with `count` passages of other clusters each, or as many as there are.

    Arguments:
        clusters: of the documents of the rows' passages.
    """
    rng = random.Random(seed)  # noqa: S311
    return [
        replace(row, negatives=_others(cluster, pool, count, rng))
        for row, cluster in zip(rows, clusters, strict=True)
    ]


def mined_negatives(
    rows: Sequence[TrainingRow],
    clusters: Sequence[str],
    pool: NegativePool,
    count: int,
    *,
    questions: Vectors,
    positives: Vectors,
    passages: Vectors,
    seed: int,
) -> list[TrainingRow]:
    """Rows with the `count` nearest passages that are clearly less near than the right one.

    Where there are fewer, random ones make up the number.

    Arguments:
        questions, positives: (n_rows, dim) vectors of the rows' questions and passages.
        passages: (n_pool, dim) vectors of the pool.
    """
    rng = random.Random(seed)  # noqa: S311
    limits = POSITIVE_SHARE * np.einsum("ij,ij->i", questions, positives)
    found, scores = nearest(questions, passages, DEPTH)
    mined = []
    for number, (row, cluster) in enumerate(zip(rows, clusters, strict=True)):
        hard = [
            pool.texts[place]
            for place, score in zip(found[number], scores[number], strict=True)
            if score < limits[number] and pool.clusters[place] != cluster
        ]
        chosen = list(dict.fromkeys(hard))[:count]
        missing = count - len(chosen)
        others = _others(cluster, pool, missing, rng) if missing else ()
        mined.append(replace(row, negatives=(*chosen, *others)))
    return mined


def _others(cluster: str, pool: NegativePool, count: int, rng: random.Random) -> tuple[str, ...]:
    places = rng.sample(range(len(pool.texts)), min(len(pool.texts), count + DEPTH))
    others = (pool.texts[place] for place in places if pool.clusters[place] != cluster)
    return tuple(others)[:count]
