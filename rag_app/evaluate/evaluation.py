"""Any LlamaIndex retriever on labelled questions: scores with intervals, and what two differ by."""

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError, PairsError
from rag_app.evaluate.comparison import Comparison, compare_outcomes, scores_json
from rag_app.evaluate.display import SHOWN_METRICS
from rag_app.evaluate.figures import with_interval
from rag_app.evaluate.scoring import LARGEST_K, Outcome, retrieve_all, score_rankings
from rag_app.evaluate.statistics import Estimate, summarise
from rag_app.pairs import (
    Question,
    as_questions,
    build_questions,
    cluster_documents,
    document_texts,
    match_questions,
    question_id,
)
from rag_app.pairs.places import squeeze
from rag_app.progress import Progress, silent
from rag_app.result import Result, Table
from rag_app.text.normalise import normalise

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import BaseNode, NodeWithScore, TextNode

    from rag_app.pairs import LabelledQuestion, Questions

# Letters of a chunk that count as an answer because the right passage holds them: fewer stand in
# many passages.
FEWEST_LETTERS = 20


@dataclass(frozen=True, repr=False)
class Evaluation(Result):
    """One retriever on one list of questions.

    Fields:
        name: of the retriever, for tables.
        scores: metric -> mean over questions with its 95 % interval (bootstrap over documents).
        outcomes: what became of each question.
        unmatched: questions that were left out, since no passage of the collection answers them;
            0 where the collection is not known (see `evaluate`).
        seconds: that retrieving took.
        warnings: sentences for the reader.

    >>> outcome = Outcome("q1", "fee?", "doc1", [["c1"]], ["c2", "c1"], [0.9, 0.8], 2, {})
    >>> Evaluation("vector", {}, [outcome]).n
    1
    """

    name: str
    scores: dict[str, Estimate]
    outcomes: list[Outcome]
    unmatched: int = 0
    seconds: float = 0.0
    seed: int = 13
    warnings: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Number of questions."""
        return len(self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Plain values: every metric as `{"mean", "low", "high"}`."""
        return {
            "name": self.name,
            "n": self.n,
            **scores_json(self.scores),
            "unmatched": self.unmatched,
            "seconds": round(self.seconds, 3),
            "warnings": self.warnings,
        }

    def records(self) -> list[dict[str, Any]]:
        """One row a question: the question, its rank, and every metric."""
        return [{"question": one.question, "rank": one.rank, **one.values} for one in self.outcomes]

    def table(self) -> Table:
        """One row a metric, with its 95 % interval."""
        return Table(
            ["metric", "mean [95 % interval]"],
            [[name, with_interval(self.scores[name])] for name in SHOWN_METRICS],
            caption=f"{self.name}, {self.n} questions",
            notes=self.warnings,
        )

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {with_interval(self.scores[name])}" for name in SHOWN_METRICS)
        return f"Evaluation({self.name!r}, n={self.n}: {scores})"


def evaluate(
    retriever: "BaseRetriever",
    questions: "Questions",
    *,
    nodes: "Sequence[TextNode] | None" = None,
    name: str | None = None,
    seed: int = 13,
    verbatim: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Score a LlamaIndex retriever on labelled questions: hit rate, MRR and nDCG with intervals.

    Where the collection is known, an answer is a place in a document: any chunk that covers the
    evidence is right. Elsewhere a retrieved node is right if it is the node or document that the
    question names, or if it holds the evidence or passage (white space aside), or if the passage
    holds the node.

    Arguments:
        retriever: any; it should return 10 nodes, or hit_rate@10 means fewer.
        questions: a file (see `read_questions`), an `EmbeddingQAFinetuneDataset`, labelled
            questions, or (question, passage) tuples.
        nodes: all nodes of the collection; `retriever.nodes` where it has them, as those of
            `rag_app.open_index` do.
        name: of the retriever in tables; its class unless named.
        seed: of the bootstrap.
        verbatim: let a retriever of `rag_app.open_index` find known questions by themselves, as in
            service; else each is held out while it is asked.
    Raises:
        ConfigError: the retriever is none.
        PairsError: no questions, or none of their answers is in the collection.

    >>> from llama_index.core.schema import NodeWithScore, TextNode
    >>> from llama_index.core.retrievers import BaseRetriever
    >>> nodes = [TextNode(text="Ships in 2 days."), TextNode(text="Call us.")]
    >>> class Always(BaseRetriever):
    ...     def _retrieve(self, query_bundle):
    ...         return [NodeWithScore(node=node) for node in nodes]
    >>> asked = [("how fast do you ship", "Ships in 2 days."), ("phone number?", "Call us.")]
    >>> evaluation = evaluate(Always(), asked, nodes=nodes)
    >>> evaluation.scores["hit_rate@1"].mean, evaluation.scores["mrr@10"].mean
    (0.5, 0.75)
    """
    if not hasattr(retriever, "retrieve"):
        raise ConfigError(
            f"{retriever!r:.80} is no retriever; hand over a LlamaIndex BaseRetriever, such as "
            'open_index().as_retriever("vector")'
        )
    labelled = as_questions(questions)
    held_out = None if verbatim else getattr(retriever, "held_out", None)
    retriever = retriever if held_out is None else held_out()
    known = nodes if nodes is not None else getattr(retriever, "nodes", None)
    started = time.monotonic()
    if known is not None:
        asked, unmatched = _of_collection(labelled, list(known))
        rankings = retrieve_all(retriever, [one.text for one in asked], progress=progress)
    else:
        texts = [same[0].question for same in _by_question(labelled)]
        rankings = retrieve_all(retriever, texts, progress=progress)
        retrieved = {
            text: [hit.node for hit in ranking]
            for text, ranking in zip(texts, rankings, strict=True)
        }
        asked, unmatched = _by_content(labelled, lambda text: retrieved[text]), 0
    seconds = time.monotonic() - started
    outcomes = score_rankings(asked, rankings)
    limit = getattr(retriever, "top_k", None)
    notes = _warnings(rankings, unmatched, None if known is None else len(known), limit)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    return Evaluation(
        name=name or type(retriever).__name__,
        scores=summarise(outcomes, seed=seed),
        outcomes=outcomes,
        unmatched=unmatched,
        seconds=seconds,
        seed=seed,
        warnings=notes,
    )


def compare(base: Evaluation, tuned: Evaluation) -> Comparison:
    """What the second retriever changes, question by question, with intervals and a verdict.

    Questions that only one of them has, since the other's collection does not answer them, are
    left out with a warning.

    Raises:
        PairsError: they have no question in common.

    >>> from llama_index.core.retrievers import BaseRetriever
    >>> from llama_index.core.schema import NodeWithScore, TextNode
    >>> nodes = [TextNode(text=text) for text in ("Ships in 2 days.", "Call us.", "Pay later.")]
    >>> class Ordered(BaseRetriever):
    ...     def __init__(self, order):
    ...         super().__init__()
    ...         self.order = order
    ...     def _retrieve(self, query_bundle):
    ...         return [NodeWithScore(node=nodes[place]) for place in self.order]
    >>> asked = [("how fast do you ship", "Ships in 2 days."), ("phone number?", "Call us.")]
    >>> base, other = (evaluate(Ordered(o), asked, nodes=nodes) for o in ([2, 0, 1], [0, 1, 2]))
    >>> round(compare(base, other).differences["mrr@10"].mean, 3)
    0.333
    """
    ids = [{one.question_id for one in run.outcomes} for run in (base, tuned)]
    common = ids[0] & ids[1]
    if not common:
        raise PairsError(
            f"{base.name} and {tuned.name} were asked no question in common; evaluate both on the "
            "same questions"
        )
    if left_out := len(ids[0] | ids[1]) - len(common):
        warnings.warn(
            f"{left_out} questions were left out: only one of {base.name} and {tuned.name} was "
            f"asked them; {len(common)} are compared",
            stacklevel=2,
        )
    before, after = (
        [one for one in run.outcomes if one.question_id in common] for run in (base, tuned)
    )
    return compare_outcomes(before, after, seed=base.seed)


def _of_collection(
    labelled: "Sequence[LabelledQuestion]", nodes: "list[TextNode]"
) -> tuple[list[Question], int]:
    """Questions to a collection whose nodes are known, and how many it does not answer."""
    if all(node.ref_doc_id and node.start_char_idx is not None for node in nodes):
        matching = match_questions(labelled, nodes)
        clusters = cluster_documents(document_texts(nodes))
        asked = build_questions(matching.pairs, nodes, clusters)
        unmatched = len(matching.unmatched)
    else:
        every = _by_content(labelled, lambda _: nodes)
        asked = [question for question in every if any(question.gold)]
        unmatched = len(every) - len(asked)
    if not asked:
        raise PairsError(
            f"none of the {len(labelled)} answers is in the collection; name questions about its "
            "documents, or ingest the documents that the answers come from"
        )
    return asked, unmatched


def _by_content(
    labelled: "Sequence[LabelledQuestion]", nodes_for: "Callable[[str], Sequence[BaseNode]]"
) -> list[Question]:
    """Questions whose right nodes are those, of the ones looked at, that hold their answers.

    Arguments:
        nodes_for: a question's text -> the nodes to look at.
    """
    clusters = _clusters(labelled)
    # A node is looked at for many questions.
    letters = cache(_letters)
    return [
        Question(
            id=question_id(text),
            text=text,
            gold=tuple(
                frozenset(node.node_id for node in nodes_for(text) if _answers(node, one, letters))
                for one in same
            ),
            cluster=clusters[_answer_key(same[0])],
        )
        for same in _by_question(labelled)
        for text in [same[0].question]
    ]


def _by_question(labelled: "Sequence[LabelledQuestion]") -> "list[list[LabelledQuestion]]":
    """Those that ask the same together, in the order in which they are first asked."""
    asked: dict[str, list[LabelledQuestion]] = defaultdict(list)
    for one in labelled:
        asked[question_id(one.question)].append(one)
    return list(asked.values())


def _clusters(labelled: "Iterable[LabelledQuestion]") -> dict[str, str]:
    """Answer -> cluster: one document, or passages that say nearly the same."""
    texts = {_answer_key(one): _answer_text(one) for one in labelled}
    return cluster_documents(texts)


def _answer_key(one: "LabelledQuestion") -> str:
    return one.document or _answer_text(one)


def _answer_text(one: "LabelledQuestion") -> str:
    return one.passage or one.evidence or one.document or ""


def _answers(node: "BaseNode", one: "LabelledQuestion", letters: "Callable[[str], str]") -> bool:
    wanted = one.evidence or one.passage
    if one.document is not None and wanted is None:
        return _is_named(node, one.document)
    if one.document == node.node_id:
        return True
    held, passage = letters(node.get_content()), letters(wanted or "")
    whole = one.evidence is None and len(held) >= FEWEST_LETTERS
    return bool(passage) and (passage in held or (whole and held in passage))


def _letters(text: str) -> str:
    return squeeze(normalise(text))


def _is_named(node: "BaseNode", document: str) -> bool:
    ids = [node.node_id, node.ref_doc_id or "", str(node.metadata.get("document_id", ""))]
    return any(name == document or name.endswith(f"/{document}") for name in ids)


def _warnings(
    rankings: "Sequence[Sequence[NodeWithScore]]",
    unmatched: int,
    nodes: int | None,
    limit: int | None,
) -> list[str]:
    lengths = {len(ranking) for ranking in rankings}
    deepest = max(lengths, default=0)
    notes = []
    # A search by words returns as many as match; the same number each time is a limit.
    if (
        (limit or 0) < LARGEST_K
        and len(lengths) == 1
        and deepest < LARGEST_K
        and (nodes is None or nodes > deepest)
    ):
        notes.append(
            f"the retriever returned {deepest} nodes at most, so metrics at {LARGEST_K} are those "
            f"at {deepest}; make it with similarity_top_k={LARGEST_K}"
        )
    if unmatched:
        notes.append(
            f"{unmatched} questions were left out: no passage of the collection answers them"
        )
    return notes
