"""What evaluation asks: a question and the chunks of an index that answer it."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import chunks_at, chunks_by_document, passage_text
from rag_app.errors import PairsError
from rag_app.pairs.pair import Pair
from rag_app.text.asked import question_key

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and in one index the chunks that answer it.

    Fields:
        id: as `question_id` gives it; the same in every index.
        text: as asked.
        gold: one set of chunk ids for each right answer; any chunk of a set finds that answer.
        cluster: questions of one cluster (one document, or near-duplicates) are not independent.
    """

    id: str
    text: str
    gold: tuple[frozenset[str], ...]
    cluster: str


def question_id(text: str) -> str:
    """Hash of a question's text, 16 hex digits; the same for wordings with the same key."""
    return hashlib.sha256(question_key(text).encode()).hexdigest()[:16]


def build_questions(
    pairs: Iterable[Pair], chunks: Sequence["TextNode"], clusters: Mapping[str, str]
) -> list[Question]:
    """Turn pairs into questions to an index, in the order in which they are first asked.

    Pairs that ask the same become one question with several answers. A chunk that reads like a
    gold chunk, title included, is as good an answer wherever it stands.

    Arguments:
        chunks: every chunk of the index.
        clusters: document id -> cluster; a document that is not there is a cluster of its own.
    Raises:
        PairsError: the index has no chunk of a pair's document.
    """
    answers = _Answers(chunks)
    asked: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        asked[question_key(pair.question)].append(pair)
    return [_question(same, answers, clusters) for same in asked.values()]


def gold_chunks(pair: Pair, chunks_of_document: Sequence["TextNode"]) -> frozenset[str]:
    """Ids of the chunks of a pair's document that answer it; empty only if there are no chunks."""
    return chunks_at(pair.start, pair.end, chunks_of_document)


class _Answers:
    """The chunks of an index by document, and by what they read like."""

    def __init__(self, chunks: Sequence["TextNode"]) -> None:
        self.by_document = chunks_by_document(chunks)
        copies = defaultdict(list)
        for chunk in chunks:
            copies[passage_text(chunk)].append(chunk.node_id)
        self.copies = {chunk_id: ids for ids in copies.values() for chunk_id in ids}

    def gold(self, pair: Pair) -> frozenset[str]:
        own = gold_chunks(pair, self.by_document.get(pair.document_id, []))
        if not own:
            raise PairsError(
                f"the index has no chunk of {pair.document_id!r}, which answers "
                f"{pair.question!r}; run `rag-app ingest` on its folder"
            )
        return frozenset(copy for chunk_id in own for copy in self.copies[chunk_id])


def _question(pairs: Sequence[Pair], answers: _Answers, clusters: Mapping[str, str]) -> Question:
    first = pairs[0]
    return Question(
        id=question_id(first.question),
        text=first.question,
        gold=tuple(dict.fromkeys(answers.gold(pair) for pair in pairs)),
        cluster=clusters.get(first.document_id, first.document_id),
    )
