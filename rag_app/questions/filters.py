"""Which written questions are worth training on, and why the others are not.

The round trip (a question must find the passage it was written for) follows Dai et al. 2022,
"Promptagator: Few-shot dense retrieval from 8 examples".
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag_app.chunks import chunks_by_document, passage_text
from rag_app.pairs import question_key
from rag_app.questions.extract import HEADINGS
from rag_app.questions.question import GeneratedQuestion
from rag_app.questions.styles import CLAIM, KEYWORDS, PROBLEM, SENTENCE, TITLE
from rag_app.questions.wording import CHECKS
from rag_app.vectors import nearest

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import Passages
    from rag_app.vectors import Embedder, Vectors

NEAR_DUPLICATE_COSINE = 0.95
# Questions taken from the text are its own words; that is no fault in them.
EXEMPT = {HEADINGS: frozenset({"copied", "leaks the prompt", "not asked"})}
# Only questions end as questions do; a sentence of the passage is none, nor does anybody type it.
EXEMPT_STYLES = {
    **dict.fromkeys((KEYWORDS, CLAIM, PROBLEM, TITLE), frozenset({"not asked"})),
    SENTENCE: frozenset({"no question", "too long"}),
}


@dataclass(frozen=True)
class Filtered:
    """The questions that are kept, in their order, and the number dropped for each reason."""

    kept: list[GeneratedQuestion]
    dropped: dict[str, int]


def filter_questions(
    questions: Sequence[GeneratedQuestion],
    passages: "Passages",
    model: "Embedder",
    *,
    top_k: int = 10,
) -> Filtered:
    """Drop questions that are ill-worded, do not find their passage, or repeat each other.

    Arguments:
        questions: in any order; of two that are alike the first is kept.
        passages: every chunk of the index, with the vectors that `model` made.
        top_k: among this many nearest chunks a question must find one that answers it.
    """
    nodes = {node.node_id: node for node in passages.nodes}
    dropped: Counter[str] = Counter()
    worded = []
    for question in questions:
        if reason := _fault(question, nodes):
            dropped[reason] += 1
        else:
            worded.append(question)
    if not worded:
        return Filtered([], dict(dropped))
    vectors = model.embed_queries([question.question for question in worded])
    found = _found(worded, vectors, passages, top_k)
    dropped["not found"] += len(worded) - len(found)
    fresh = _fresh([worded[row].question for row in found], vectors[found])
    dropped["repeated"] += len(found) - len(fresh)
    kept = [worded[found[row]] for row in fresh]
    return Filtered(kept, {reason: count for reason, count in dropped.items() if count})


def _fault(question: GeneratedQuestion, nodes: Mapping[str, "TextNode"]) -> str | None:
    node = nodes.get(question.chunk_id)
    if node is None:
        return "not found"
    passage = passage_text(node)
    exempt = EXEMPT.get(question.generator, frozenset())
    exempt |= EXEMPT_STYLES.get(question.style, frozenset())
    tried = (
        reason
        for reason, check in CHECKS.items()
        if reason not in exempt and check(question.question, passage)
    )
    return next(tried, None if question.answered else "not answered")


def _found(
    questions: Sequence[GeneratedQuestion], vectors: "Vectors", passages: "Passages", top_k: int
) -> list[int]:
    """Rows of the questions that find a chunk that answers them."""
    gold = _GoldRows(passages.nodes)
    rows, _ = nearest(vectors, passages.vectors, top_k)
    return [
        row
        for row, question in enumerate(questions)
        if not gold.of(question).isdisjoint(rows[row].tolist())
    ]


class _GoldRows:
    """The passages that answer a question: of its document and place, or with the same text."""

    def __init__(self, nodes: Sequence["TextNode"]) -> None:
        self._by_document = chunks_by_document(nodes)
        self._text = {node.node_id: passage_text(node) for node in nodes}
        self._rows = defaultdict(set)
        for row, node in enumerate(nodes):
            self._rows[self._text[node.node_id]].add(row)

    def of(self, question: GeneratedQuestion) -> frozenset[int]:
        """Rows of `passages`."""
        overlapping = (
            node
            for node in self._by_document.get(question.document_id, [])
            if node.start_char_idx < question.end and question.start < node.end_char_idx
        )
        return frozenset(
            row for node in overlapping for row in self._rows[self._text[node.node_id]]
        )


def _fresh(questions: Sequence[str], vectors: "Vectors") -> list[int]:
    """Rows of the questions that are not like an earlier one that is kept."""
    kept: list[int] = []
    keys: set[str] = set()
    kept_vectors = np.empty_like(vectors)
    for row, question in enumerate(questions):
        key = question_key(question)
        likeness = kept_vectors[: len(kept)] @ vectors[row]
        if key in keys or likeness.max(initial=-1.0) >= NEAR_DUPLICATE_COSINE:
            continue
        kept_vectors[len(kept)] = vectors[row]
        kept.append(row)
        keys.add(key)
    return kept
