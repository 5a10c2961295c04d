"""Two indexes on the same questions: scores, differences, verdict, and what search loses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.disk import write_json
from rag_app.evaluate.changes import changes, flips
from rag_app.evaluate.display import SHOWN_METRICS
from rag_app.evaluate.figures import change_with_interval, with_interval
from rag_app.evaluate.folds import how_many
from rag_app.evaluate.scoring import (
    KEPT_RANKS,
    LARGEST_K,
    Outcome,
    score_questions,
    write_outcomes,
)
from rag_app.evaluate.statistics import Difference, Estimate, compare_scores, holm
from rag_app.evaluate.verdict import LEVEL, PRIMARY_METRIC, Verdict, decide
from rag_app.progress import Progress, silent
from rag_app.result import Result, Table

if TYPE_CHECKING:
    from rag_app.index import Passages, VectorCache, VectorIndex
    from rag_app.pairs import Question
    from rag_app.vectors import Embedder

# Questions on which the index's own search is held against the exact one.
SEARCHED = 200
# Of more questions than these resampling takes so long that it is told of.
MANY_QUESTIONS = 10_000


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Base against tuned on the same questions; scores by metric.

    Fields:
        n: questions; one that several folds asked counts once.
        p_holm: p of the primary metric, adjusted for several comparisons with one base.
    """

    n: int
    base: dict[str, Estimate]
    tuned: dict[str, Estimate]
    differences: dict[str, Difference]
    verdict: Verdict
    base_outcomes: list[Outcome]
    tuned_outcomes: list[Outcome]
    p_holm: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values, with every question whose answer moved."""
        return {
            "n": self.n,
            "verdict": self.verdict.decision,
            "reason": self.verdict.reason,
            "base": scores_json(self.base),
            "tuned": scores_json(self.tuned),
            "differences": self.differences_json(),
            "flips": self.flips_json(),
            "changes": [asdict(c) for c in changes(self.base_outcomes, self.tuned_outcomes)],
        }

    def differences_json(self) -> dict[str, dict[str, float]]:
        """The differences alone, of many questions without each one that moved."""
        return {name: asdict(value) for name, value in self.differences.items()}

    def flips_json(self) -> list[dict[str, int]]:
        """How many questions were fixed and broken."""
        return [asdict(flip) for flip in flips(self.base_outcomes, self.tuned_outcomes)]

    def records(self) -> list[dict[str, Any]]:
        """One row a metric: base, tuned and their difference, each with its 95 % interval."""
        sides: dict[str, Mapping[str, Estimate | Difference]] = {
            "base": self.base,
            "tuned": self.tuned,
            "difference": self.differences,
        }
        return [
            {
                "metric": metric,
                **{
                    f"{side}{end}": getattr(scores[metric], name)
                    for side, scores in sides.items()
                    for end, name in (("", "mean"), ("_low", "low"), ("_high", "high"))
                },
                "p": self.differences[metric].p,
            }
            for metric in self.base
        ]

    def table(self) -> Table:
        """One row a metric: base, tuned and their difference; below it the verdict."""
        rows = [
            [
                metric,
                with_interval(self.base[metric]),
                with_interval(self.tuned[metric]),
                change_with_interval(self.differences[metric]),
            ]
            for metric in SHOWN_METRICS
        ]
        return Table(
            ["metric", "base [95 % interval]", "tuned", "difference"],
            rows,
            caption=f"{self.n} questions",
            notes=[str(self.verdict)],
        )

    def write(self, folder: Path) -> None:
        """Keep the outcomes of every question, and the summary."""
        write_outcomes(folder / "base.jsonl", self.base_outcomes)
        write_outcomes(folder / "tuned.jsonl", self.tuned_outcomes)
        write_json(folder / "comparison.json", self.to_json())


def compare_outcomes(
    base: Sequence[Outcome],
    tuned: Sequence[Outcome],
    *,
    seed: int,
    folds: Mapping[str, int] | None = None,
    asked: str = "",
    level: float = LEVEL,
    progress: Progress = silent,
) -> Comparison:
    """Compare two runs over the same questions.

    Arguments:
        folds: question id -> fold, where each fold was answered by another model.
        asked, level: see `decide`.
        progress: told of how long many questions take.
    Raises:
        PairsError: no questions.
        ValueError: not the same questions.
    """
    if len(base) > MANY_QUESTIONS:
        progress(
            f"comparing {len(base):,} questions by resampling: up to 5 s for each 10,000", 0, 0
        )
    n = len(base) if folds is None else how_many(base)
    base_scores, tuned_scores, changed = compare_scores(base, tuned, seed=seed, folds=folds)
    return Comparison(
        n=n,
        base=base_scores,
        tuned=tuned_scores,
        differences=changed,
        verdict=decide(
            changed,
            base_scores,
            tuned_scores,
            n,
            asked=asked,
            level=level,
            clusters=_clusters(base),
        ),
        base_outcomes=list(base),
        tuned_outcomes=list(tuned),
    )


def judged_together(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons with one base, each judged by its p adjusted for all of them (Holm)."""
    adjusted = holm([one.differences[PRIMARY_METRIC].p for one in comparisons])
    return [
        replace(one, p_holm=p, verdict=_judged_at(one, p, len(comparisons)))
        for one, p in zip(comparisons, adjusted, strict=True)
    ]


def _judged_at(one: Comparison, p: float, comparisons: int) -> Verdict:
    change = replace(one.differences[PRIMARY_METRIC], p=p)
    return decide(
        {**one.differences, PRIMARY_METRIC: change},
        one.base,
        one.tuned,
        one.n,
        clusters=_clusters(one.base_outcomes),
        comparisons=comparisons,
    )


def _clusters(outcomes: Sequence[Outcome]) -> int:
    return len({outcome.cluster for outcome in outcomes})


def exact_outcomes(
    passages: "Passages",
    model: "Embedder",
    questions: "Sequence[Question]",
    *,
    cache: "VectorCache | None" = None,
    progress: Progress = silent,
) -> list[Outcome]:
    """Score a model by exact search over its passages; a cache keeps the questions' vectors."""
    from rag_app.retrieve import ExactRetriever

    retriever = ExactRetriever(passages, model, top_k=KEPT_RANKS, cache=cache)
    return score_questions(retriever, questions, depth=KEPT_RANKS, progress=progress)


def ann_recall(index: "VectorIndex", model: "Embedder", outcomes: Sequence[Outcome]) -> float:
    """Recall@10 of the index's own search: the share of the exact ten nearest that it returns."""
    from rag_app.retrieve import VectorRetriever

    sample = outcomes[:SEARCHED]
    found = VectorRetriever(index, model, top_k=LARGEST_K).retrieve_many(
        [outcome.question for outcome in sample]
    )
    nearest = [set(outcome.retrieved[:LARGEST_K]) for outcome in sample]
    wanted = sum(map(len, nearest))
    got = sum(
        len({hit.node.node_id for hit in hits} & exact)
        for hits, exact in zip(found, nearest, strict=True)
    )
    return got / wanted if wanted else 1.0


def scores_json(scores: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    """Scores as `{"mean", "low", "high"}` by metric."""
    return {name: asdict(value) for name, value in scores.items()}
