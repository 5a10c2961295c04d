"""From pairs to what one training reads: rows with their passages, and a dev set."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import chunks_by_document, passage_text
from rag_app.finetune.data.batches import batch_count
from rag_app.finetune.data.dev import DevSet
from rag_app.finetune.options import TrainingRow, tokens_read
from rag_app.pairs import Pair, Question, gold_chunks, question_key

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.chunks import PassageModel
    from rag_app.index import Passages
    from rag_app.vectors import Vectors

# Questions -> (n, dim) float32, unit length.
EmbedQueries = Callable[[Sequence[str]], "Vectors"]

# Passages that a dev question is ranked among, besides the right ones: enough to tell epochs apart,
# few enough to embed after each of them.
DEV_POOL = 300
# The share of its places that a batch without two rows of a document must fill.
LEAST_FULL = 0.8


@dataclass(frozen=True)
class CutPassages:
    """How many different passages, of those trained on, are longer than `max_tokens`.

    `model_max_tokens` is what the model could read.
    """

    count: int
    of: int
    max_tokens: int
    model_max_tokens: int


def training_rows(
    pairs: Sequence[Pair],
    passages: "Passages",
    clusters: Mapping[str, str],
    embed: EmbedQueries,
    *,
    batch_size: int,
) -> list[TrainingRow]:
    """One row for each pair, with the passage that answers it.

    Where several chunks do, the one most like the question is taken. Rows of near-duplicate
    documents form one group, unless that would leave too many places of a batch empty: where few
    documents have many passages, those of the others are too few negatives. Then rows of one
    passage do. Groups that answer the same question are one: in a batch each answer would be called
    wrong beside the other. Only where questions with several answers join so many passages that
    batches would be too empty again they stay apart, and `groups_against` keeps such rows apart.
    """
    by_document = chunks_by_document(passages.nodes)
    row_of = {node.node_id: row for row, node in enumerate(passages.nodes)}
    golds = [
        sorted(row_of[chunk] for chunk in gold_chunks(pair, by_document[pair.document_id]))
        for pair in pairs
    ]
    vectors = embed([pair.question for pair in pairs])
    best = [
        max(gold, key=lambda row, v=vector: (float(passages.vectors[row] @ v), -row))  # type: ignore[misc]
        for gold, vector in zip(golds, vectors, strict=True)
    ]
    texts = [passage_text(passages.nodes[row]) for row in best]
    questions = [question_key(pair.question) for pair in pairs]
    groups = join_groups([clusters[pair.document_id] for pair in pairs], questions)
    for finer in (join_groups(texts, questions), texts):
        if batch_count(finer, batch_size) < LEAST_FULL * batch_count(groups, batch_size):
            groups = finer
    return [
        TrainingRow(pair.question, text, group)
        for pair, text, group in zip(pairs, texts, groups, strict=True)
    ]


def join_groups(groups: Sequence[str], questions: Sequence[str]) -> list[str]:
    """The groups of rows, where those that have a question in common are one.

    >>> join_groups(["a", "b", "c", "d"], ["one", "two", "one", "three"])
    ['a', 'b', 'a', 'd']

    Arguments:
        questions: of each row, by `question_key`.
    """
    first: dict[str, str] = {}
    joined_to: dict[str, str] = {}

    def find(group: str) -> str:
        while (other := joined_to.get(group, group)) != group:
            group = other
        return group

    for group, question in zip(groups, questions, strict=True):
        joined_to[find(group)] = find(first.setdefault(question, group))
    return [find(group) for group in groups]


def cut_passages(
    rows: Sequence[TrainingRow], model: "PassageModel", max_tokens: int | None
) -> CutPassages:
    """Count the passages of training whose ends are not read."""
    limit = tokens_read(max_tokens, model.max_tokens)
    texts = list({row.passage for row in rows})
    cut = sum(tokens > limit for tokens in model.count_tokens(texts))
    return CutPassages(cut, of=len(texts), max_tokens=limit, model_max_tokens=model.max_tokens)


def dev_set(
    questions: Sequence[Question], nodes: Sequence["TextNode"], *, seed: int
) -> DevSet | None:
    """Dev questions over their right passages and a sample of others; None without questions."""
    if not questions:
        return None
    gold_ids = {chunk for question in questions for gold in question.gold for chunk in gold}
    others = [node for node in nodes if node.node_id not in gold_ids]
    random.Random(seed).shuffle(others)  # noqa: S311
    pool = [node for node in nodes if node.node_id in gold_ids] + others[:DEV_POOL]
    place = {node.node_id: row for row, node in enumerate(pool)}
    return DevSet(
        questions=[question.text for question in questions],
        gold=[
            frozenset(place[chunk] for gold in question.gold for chunk in gold)
            for question in questions
        ],
        passages=[passage_text(node) for node in pool],
        clusters=[question.cluster for question in questions],
    )
