"""Passages that do not answer a question, to train against: random ones, or hard ones."""

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rag_app.finetune.options import TrainingRow
from rag_app.text.asked import question_key
from rag_app.vectors import Vectors, nearest

# A passage that scores above this share of the right one's score may be right as well: the
# positive-aware margin of Moreira et al. 2024, "NV-Retriever", arXiv 2407.15831, section 3.
POSITIVE_SHARE = 0.95
# Nearest passages that negatives are chosen from.
DEPTH = 50


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

    Where there are fewer, random ones of those that are less near still make up the number.

    Arguments:
        questions, positives: (n_rows, dim) vectors of the rows' questions and passages.
        passages: (n_pool, dim) vectors of the pool.
    """
    rng = random.Random(seed)  # noqa: S311
    limits = POSITIVE_SHARE * np.einsum("ij,ij->i", questions, positives)
    found, scores = nearest(questions, passages, DEPTH)
    mined = []
    for number, (row, cluster) in enumerate(zip(rows, clusters, strict=True)):
        near = zip(found[number].tolist(), scores[number].tolist(), strict=True)
        hard = [
            pool.texts[place]
            for place, score in near
            if score < limits[number] and pool.clusters[place] != cluster
        ]
        chosen = list(dict.fromkeys(hard))[:count]
        near_texts = {pool.texts[place] for place in found[number].tolist()}
        others = _others(cluster, pool, count - len(chosen), rng, without=near_texts)
        mined.append(replace(row, negatives=(*chosen, *others)))
    return mined


def as_many_each(rows: Sequence[TrainingRow]) -> list[TrainingRow]:
    """Rows with as many negatives each as any of them, for a loss that reads them as columns.

    Those that lack some get passages of other groups, which a batch would bring as well; none that
    answers their question.
    """
    answers: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        answers[question_key(row.question)].add(row.passage)
    most = max((len(row.negatives) for row in rows), default=0)
    filled = []
    for place, row in enumerate(rows):
        negatives = dict.fromkeys(row.negatives)
        right = answers[question_key(row.question)]
        for step in range(1, len(rows)):
            if len(negatives) == most:
                break
            other = rows[(place + step) % len(rows)]
            if other.group != row.group and other.passage not in right:
                negatives[other.passage] = None
        filled.append(replace(row, negatives=tuple(negatives)))
    return filled


def _others(
    cluster: str,
    pool: NegativePool,
    count: int,
    rng: random.Random,
    *,
    without: Collection[str] = (),
) -> tuple[str, ...]:
    """`count` random texts of other clusters, or as many as there are."""
    everywhere = range(len(pool.texts))
    # A few are enough nearly always; all of them where the row's own cluster is large.
    for size in (count + DEPTH, len(everywhere)):
        places = rng.sample(everywhere, min(size, len(everywhere)))
        others = [
            pool.texts[place]
            for place in places
            if pool.clusters[place] != cluster and pool.texts[place] not in without
        ]
        if len(others) >= count:
            break
    return tuple(others[:count])
