"""What a request asks for, whichever way it came."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rag_app.retrieve.options import KEPT

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore

    from rag_app.answer.answer import Answer
    from rag_app.answer.conversation import Turn

InputType = Literal["query", "passage"]


@dataclass(frozen=True)
class Serving:
    """What is taken where a request says nothing else.

    Fields:
        index: a name, or None: the index in service, also after another one is put into it.
        where: a filter that every request is held to.
        draft: let a language model answer that only continues text.
    """

    index: str | None = None
    retriever: str = KEPT
    top_k: int = 5
    fetch_k: int = 100
    rewrites: int = 3
    where: str | None = None
    draft: bool = False


@dataclass(frozen=True)
class Asked:
    """A question and how its passages are to be found; None: as `Serving` says.

    Fields:
        index: a name, a beginning of it, base or tuned.
        turns: the conversation that the question goes on with.
        evidence: find the sentence of each passage that is nearest to the question.
    """

    question: str
    top_k: int | None = None
    where: str | None = None
    retriever: str | None = None
    index: str | None = None
    turns: "tuple[Turn, ...]" = ()
    evidence: bool = False


@dataclass(frozen=True)
class Found:
    """The passages of a question, and where they were found.

    Fields:
        answer: the passages as an answer without a text.
        hits: the same as LlamaIndex's nodes.
        notes: sentences about how the question was understood and asked.
        weak_match: the best cosine, and that of unrelated passages, where no passage is near.
        evidence: of each passage the characters of its document that are nearest to the question.
    """

    answer: "Answer"
    hits: "list[NodeWithScore]"
    index: str
    model: str
    retriever: str
    notes: tuple[str, ...] = ()
    weak_match: tuple[float, float] | None = None
    evidence: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `/retrieve` sends it."""
        return {
            "question": self.answer.question,
            "understood_as": self.answer.understood_as,
            "index": self.index,
            "model": self.model,
            "retriever": self.retriever,
            "passages": [citation.to_json() for citation in self.answer.citations],
            "evidence": [
                {"n": n, "start": start, "end": end}
                for n, (start, end) in enumerate(self.evidence, start=1)
            ],
            "weak_match": self.weak_match
            and {"cosine": self.weak_match[0], "unrelated": self.weak_match[1]},
            "notes": list(self.notes),
        }
