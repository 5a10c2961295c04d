"""Vectors of texts, what makes them, and the nearest of them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from rag_app.progress import Progress

# How far rounding, bfloat16's included, takes a length from 1.
_UNIT = 0.02
Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Any embedding model: a folder of sentence-transformers, an endpoint, or your own class.

    Vectors are float32 of unit length, so that a product of two is their cosine.

    >>> class Lengths:
    ...     name, dimension, fingerprint = "lengths", 2, "lengths-1"
    ...     def embed_queries(self, texts, *, progress=None):
    ...         vectors = np.array([[len(text), 1] for text in texts], np.float32)
    ...         return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ...     embed_passages = embed_queries
    >>> model: Embedder = Lengths()
    >>> model.embed_queries(["abc", ""]).round(2).tolist()
    [[0.949999988079071, 0.3199999928474426], [0.0, 1.0]]
    """

    @property
    def name(self) -> str:
        """What the user calls it; stands in an index's metadata."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """The same for two models only if both put every text in the same place."""
        ...

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = ...) -> Vectors:
        """Embed questions: (n_texts, dimension) float32, unit length."""
        ...

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = ...) -> Vectors:
        """Embed passages: (n_texts, dimension) float32, unit length."""
        ...


class TokenEmbeddings(NamedTuple):
    """The last hidden states of a text's tokens; of those that hold a letter or a digit.

    Fields:
        ids: (n_tokens,) int32, places in the model's vocabulary.
        vectors: (n_tokens, width) float32, unit length.
    """

    ids: npt.NDArray[np.int32]
    vectors: Vectors


class TokenEmbedder(Embedder, Protocol):
    """A model that also gives the embeddings of single tokens, prompt and special ones left out."""

    @property
    def gives_tokens(self) -> bool:
        """Whether it does; a static model, say, does not."""
        ...

    def embed_query_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        """The tokens of each question."""
        ...

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        """The tokens of each passage."""
        ...


def as_lists(vectors: Vectors) -> list[list[float]]:
    """Vectors as other libraries take them: a list of numbers each."""
    return [list(map(float, vector)) for vector in vectors]


def are_unit(vectors: Vectors) -> bool:
    """Whether all of these, (n, dim), have unit length; one with a NaN has none.

    >>> are_unit(np.array([[0.6, 0.8]])), are_unit(np.array([[0.6, np.nan]]))
    (True, False)
    """
    return bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < _UNIT).all())


def row_cosines(ours: Vectors, theirs: Vectors) -> Vectors:
    """(n,) cosines of the unit vectors that stand in the same row of both, (n, dim) each."""
    return np.asarray((ours * theirs).sum(axis=1))


def passage_fingerprint(model: Embedder) -> str:
    """The fingerprint of what passages pass through: a query adapter does not change it."""
    return str(getattr(model, "passage_fingerprint", model.fingerprint))


def token_embedder(model: Embedder) -> "TokenEmbedder | None":
    """The model, if it also gives the embeddings of single tokens."""
    return cast("TokenEmbedder", model) if getattr(model, "gives_tokens", False) else None


# Questions compared at once: their scores with 100,000 chunks are 100 MB.
QUERY_BATCH = 256


def nearest(queries: Vectors, passages: Vectors, top_k: int) -> tuple[np.ndarray, Vectors]:
    """The `top_k` best passages of each query, best first.

    Arguments:
        queries: (n_queries, dim) float32, unit length.
        passages: (n_passages, dim) float32, unit length.
    Returns:
        rows (n_queries, k) int64 and cosines (n_queries, k), k = min(top_k, n_passages); equal
        cosines keep the order of the passages.
    """
    k = min(top_k, len(passages))
    rows = np.empty((len(queries), k), dtype=np.int64)
    best = np.empty((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), QUERY_BATCH):
        scores = queries[start : start + QUERY_BATCH] @ passages.T
        for row, of_one in enumerate(scores, start):
            rows[row] = best_rows(of_one, k)
            best[row] = of_one[rows[row]]
    return rows, best


def best_rows(scores: npt.NDArray[np.floating], top_k: int) -> npt.NDArray[np.int64]:
    """Places of the `top_k` highest scores, best first; equal ones keep their order.

    >>> best_rows(np.array([0.5, 0.9, 0.5, 0.1]), 2).tolist()
    [1, 0]
    """
    descending = -scores
    rows = np.arange(len(scores))
    if 0 < top_k < len(scores):
        # Sorting all of them costs several times as much as finding the last that is returned.
        last = np.partition(descending, top_k - 1)[top_k - 1]
        # Not `<=`: what is no number comes last, as it does when all are sorted.
        rows = np.flatnonzero(~(descending > last))
    return rows[np.argsort(descending[rows], kind="stable")][:top_k]
