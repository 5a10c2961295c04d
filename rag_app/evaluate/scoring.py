"""Questions + a retriever -> what happened to each question, and the files that keep it."""

import dataclasses
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from rag_app.disk import write_whole
from rag_app.errors import StorageError
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore

    from rag_app.pairs import Question
    from rag_app.retrieve.trace import Trace

LARGEST_K = 10
# Places of a ranking that a run keeps: curves of the hit rate go on where metrics end.
KEPT_RANKS = 20
# Of these the scores in each step of a retrieval are kept: what a reader sees.
SCORED = 5
METRICS: tuple[str, ...] = (
    *(f"hit_rate@{k}" for k in range(1, LARGEST_K + 1)),
    f"mrr@{LARGEST_K}",
    f"ndcg@{LARGEST_K}",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one retriever made of one question.

    Arguments:
        question_id, question, cluster: as in the Question.
        gold: chunk ids of each right answer, sorted.
        retrieved: chunk ids as the retriever ranked them, best first.
        scores: the retriever's score of each of them.
        rank: place of the first chunk that holds an answer, from 1; None if none was retrieved.
            A larger context holds what any of its chunks holds.
        values: metric -> value between 0 and 1.
        steps: of a retrieval of several steps, such as the views of a hybrid: by name the rank
            there of the first chunk that holds an answer, and of the chunk that is first in the
            end; None for one that is not there.
        step_scores: of the same steps: the score there of the first chunk that holds an answer, and
            of each of the first five of `retrieved`. Empty of a run before they were kept.
    """

    question_id: str
    question: str
    cluster: str
    gold: list[list[str]]
    retrieved: list[str]
    scores: list[float]
    rank: int | None
    values: dict[str, float]
    steps: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    step_scores: dict[str, list[float | None]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with the fields as they are named here."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Outcome":
        """What `to_dict` gave.

        Raises:
            pydantic.ValidationError: a field is missing or of another type.
        """
        return _adapter().validate_python(fields)


@cache
def _adapter() -> TypeAdapter[Outcome]:
    return TypeAdapter(Outcome)


def score_questions(
    retriever: "BaseRetriever",
    questions: "Sequence[Question]",
    *,
    depth: int = LARGEST_K,
    progress: Progress = silent,
) -> list[Outcome]:
    """Ask every question and score its ranking; one outcome per question, in their order.

    Arguments:
        retriever: a LlamaIndex retriever that returns at least `depth` chunks where there are as
            many; its `retrieve_many` is called once if it has one.
        questions: each with one set of chunk ids per right answer. An empty set is an answer that
            no chunk holds: it counts, and cannot be found.
        depth: chunks of each ranking that are kept, 10 or more.
    Raises:
        ValueError: a depth at which mrr@10 would not be what its name says, or a question without
            any right answer.
    """
    from rag_app.evaluate.recorded import Recorded
    from rag_app.retrieve.trace import TracedRetriever

    if depth < LARGEST_K:
        raise ValueError(f"depth is {depth}; metrics look at the first {LARGEST_K} chunks")
    for question in questions:
        if not question.gold:
            raise ValueError(f"question {question.id} has no right answer to be scored against")
    if isinstance(retriever, TracedRetriever) and not isinstance(retriever, Recorded):
        retriever = Recorded(retriever)
    rankings = retrieve_all(retriever, [question.text for question in questions], progress=progress)
    traces = None
    if isinstance(retriever, Recorded):
        traces = retriever.traces[len(retriever.traces) - len(questions) :]
    return score_rankings(questions, [ranking[:depth] for ranking in rankings], traces)


def retrieve_all(
    retriever: "BaseRetriever", texts: Sequence[str], *, progress: Progress = silent
) -> "list[list[NodeWithScore]]":
    """One ranking per question, best first; asked at once where the retriever can."""
    from rag_app.evaluate.evaluator import BatchRetrieverEvaluator

    evaluator = BatchRetrieverEvaluator.from_metric_names(METRICS, retriever=retriever)
    return evaluator.retrieve_all(texts, progress=progress)


def score_rankings(
    questions: "Sequence[Question]",
    rankings: "Sequence[list[NodeWithScore]]",
    traces: "Sequence[Trace] | None" = None,
) -> list[Outcome]:
    """The outcome of each question, by what was retrieved for it, best first.

    Arguments:
        traces: of each question, where the retriever keeps them.
    """
    every: Sequence[Trace | None] = traces or [None] * len(questions)
    return [_outcome(*one) for one in zip(questions, rankings, every, strict=True)]


def _outcome(
    question: "Question", ranking: "list[NodeWithScore]", trace: "Trace | None"
) -> Outcome:
    from rag_app.evaluate.evaluator import score_ranking
    from rag_app.retrieve.context import covered

    places = [covered(hit.node) for hit in ranking]
    names = [_answer_name(index) for index in range(len(question.gold))]
    return Outcome(
        question_id=question.id,
        question=question.text,
        cluster=question.cluster,
        gold=[sorted(chunks) for chunks in question.gold],
        retrieved=[hit.node.node_id for hit in ranking],
        scores=[float(hit.get_score(raise_error=False)) for hit in ranking],
        rank=_first_hit(places, question.gold),
        values=score_ranking(METRICS, question.text, names, collapse(places, question.gold)),
        **_steps(trace, question, [hit.node.node_id for hit in ranking]),
    )


def _steps(
    trace: "Trace | None", question: "Question", retrieved: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Ranks and scores in the steps of a retrieval that has several; see `Outcome`."""
    if trace is None or len(trace.steps) < 2 or not retrieved:
        return {}
    holding = frozenset().union(*question.gold)
    ranks: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    for step in trace.steps:
        right = next((chunk for chunk in step.scores if chunk in holding), "")
        ranks[step.name] = (step.rank(right), step.rank(retrieved[0]))
        some = [step.scores.get(chunk) for chunk in (right, *retrieved[:SCORED])]
        scores[step.name] = [None if one is None else round(one, 4) for one in some]
    return {"steps": ranks, "step_scores": scores}


def collapse(retrieved: Sequence[Sequence[str]], gold: Sequence[Collection[str]]) -> list[str]:
    """Put answers in the place of the chunks that hold them.

    Overlapping chunks that hold the same answer are one find: the first counts and later ones
    vanish. What holds several answers stands for each of them that is still missing. What holds no
    answer stays where it is, so the first hit keeps its rank.

    Arguments:
        retrieved: ids of the chunks in each place; one, unless a larger context was returned.
    """
    items: list[str] = []
    for chunks in retrieved:
        answers = [_answer_name(n) for n, right in enumerate(gold) if _meet(chunks, right)]
        items += [answer for answer in answers if answer not in items] if answers else chunks[:1]
    return items


def _answer_name(index: int) -> str:
    # Chunk ids are hexadecimal, so no chunk has this name.
    return f"answer {index}"


def _first_hit(retrieved: Sequence[Sequence[str]], gold: Sequence[Collection[str]]) -> int | None:
    holding = frozenset().union(*gold)
    return next((rank for rank, chunks in enumerate(retrieved, 1) if _meet(chunks, holding)), None)


def _meet(chunks: Sequence[str], right: Collection[str]) -> bool:
    return any(chunk in right for chunk in chunks)


def pair_outcomes(
    base: Sequence[Outcome], tuned: Sequence[Outcome]
) -> list[tuple[Outcome, Outcome]]:
    """The two outcomes of each question, in the order of `base`.

    Raises:
        ValueError: the runs did not ask the same questions, each once.
    """
    by_id = {outcome.question_id: outcome for outcome in tuned}
    ids = {outcome.question_id for outcome in base}
    if ids != by_id.keys() or not len(ids) == len(base) == len(tuned):
        raise ValueError(
            f"only the same questions can be compared: {len(base)} outcomes and {len(tuned)}, "
            f"{len(ids & by_id.keys())} question ids in common"
        )
    return [(outcome, by_id[outcome.question_id]) for outcome in base]


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write one JSON object a line; the file is there whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "".join(map(_line, outcomes)))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error}; free some space or name another folder"
        ) from error


def _line(outcome: Outcome) -> str:
    return json.dumps(outcome.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"


def read_outcomes(path: Path) -> list[Outcome]:
    """Read what `write_outcomes` wrote.

    Raises:
        StorageError: no such file, or a line that is not an outcome.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}; score again with `rag-app evaluate`"
        ) from error
    return [_parse(line, path, number) for number, line in enumerate(lines, 1) if line.strip()]


def _parse(line: str, path: Path, number: int) -> Outcome:
    try:
        return _adapter().validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise StorageError(
            f"{path} line {number} is not an outcome ({where}: {problem['msg']}); "
            "score again with `rag-app evaluate`"
        ) from None
