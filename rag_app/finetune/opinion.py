"""A second opinion on labels: is this really the passage that answers this question?"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rag_app.chunks import chunks_by_document, passage_text
from rag_app.pairs import Pair, gold_chunks
from rag_app.retrieve.keyword.bm25 import KeywordIndex
from rag_app.vectors import nearest

if TYPE_CHECKING:
    from rag_app.index import Passages, VectorCache
    from rag_app.models import EmbeddingModel
    from rag_app.models.cross_encoder import CrossEncoder

# Among so many passages both searches must find the right one to agree with its label.
AGREE_TOP_K = 10
# A cross-encoder must put the right passage among so many of the nearest that it reads.
READ_TOP_K = 10
BELIEVED_RANK = 3

Believe = Callable[[Sequence[Pair]], list[Pair]]


def agreement(passages: "Passages", model: "EmbeddingModel", cache: "VectorCache") -> Believe:
    """Believe pairs whose passage both the embedding model and BM25 find."""

    def believe(pairs: Sequence[Pair]) -> list[Pair]:
        questions = [pair.question for pair in pairs]
        golds = _gold_rows(pairs, passages)
        vectors = cache.embed_queries(model, questions)
        dense, _ = nearest(vectors, passages.vectors, AGREE_TOP_K)
        keyword = KeywordIndex([passage_text(node) for node in passages.nodes])
        found = zip(pairs, golds, dense, keyword.top(questions, AGREE_TOP_K), strict=True)
        return [
            pair
            for pair, gold, near, worded in found
            if not gold.isdisjoint(near.tolist()) and not gold.isdisjoint(worded.tolist())
        ]

    return believe


def cross_encoder_opinion(
    encoder: "CrossEncoder", passages: "Passages", model: "EmbeddingModel", cache: "VectorCache"
) -> Believe:
    """Believe pairs whose passage a cross-encoder ranks high among the nearest ones."""

    def believe(pairs: Sequence[Pair]) -> list[Pair]:
        golds = _gold_rows(pairs, passages)
        vectors = cache.embed_queries(model, [pair.question for pair in pairs])
        near, _ = nearest(vectors, passages.vectors, READ_TOP_K)
        believed = []
        for pair, gold, rows in zip(pairs, golds, near, strict=True):
            right = min(gold)
            others = [row for row in rows.tolist() if row not in gold]
            texts = [passage_text(passages.nodes[row]) for row in [right, *others]]
            scores = encoder.score(pair.question, texts)
            if int(np.sum(scores[1:] > scores[0])) < BELIEVED_RANK:
                believed.append(pair)
        return believed

    return believe


def _gold_rows(pairs: Sequence[Pair], passages: "Passages") -> list[frozenset[int]]:
    by_document = chunks_by_document(passages.nodes)
    row_of = {node.node_id: row for row, node in enumerate(passages.nodes)}
    return [
        frozenset(row_of[chunk] for chunk in gold_chunks(pair, by_document[pair.document_id]))
        for pair in pairs
    ]
