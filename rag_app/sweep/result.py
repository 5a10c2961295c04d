"""What a sweep found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rag_app.evaluate.comparison import scores_json
from rag_app.evaluate.figures import change_with_interval, p_value, score
from rag_app.evaluate.statistics import Estimate
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.pairs import Unmatched
from rag_app.result import Result, Table
from rag_app.retrieve import RetrievalOptions
from rag_app.sweep.bases import Bases
from rag_app.sweep.choice import Choice
from rag_app.sweep.scoring import Candidate

# Metrics of the table, besides the one that chooses.
SHOWN = ("hit_rate@1", PRIMARY_METRIC)


@dataclass(frozen=True)
class Row:
    """One setting on test: scores, cost, and what it changes.

    Fields:
        file_name: of the outcomes of its questions, in the folder of the results.
    """

    candidate: Candidate
    scores: dict[str, Estimate]
    file_name: str

    def to_json(self, choice: Choice, metric: str) -> dict[str, Any]:
        """What `--json` prints for a run."""
        one, setting = self.candidate, self.candidate.setting
        values = {
            "name": setting.name,
            "model": setting.model,
            "index": one.built.index.name,
            "chunk_size": setting.chunking.chunk_size,
            "chunk_overlap": setting.chunking.chunk_overlap,
            "retriever": setting.retrieval.spec,
            "chunks": len(one.built.passages.nodes),
            "megabytes": one.built.megabytes,
            "build_seconds": one.built.seconds,
            "milliseconds": one.milliseconds,
            "dev": one.mean(metric),
            "n": len(one.test or []),
            **scores_json(self.scores),
            "outcomes": self.file_name,
        }
        if setting.name in choice.changes:
            values["change"] = asdict(choice.changes[setting.name])
            values["p_holm"] = choice.adjusted[setting.name]
        return values


@dataclass(frozen=True, repr=False)
class SweepResult(Result):
    """What a sweep found.

    Fields:
        rows: the present setting, then the others, best first on the questions that choose.
        split: questions by what they were for.
        unmatched, trained_on: questions left out: no answer in the index; a model, a reranker or
            the present weights learned from it.
        refits: model that was trained on all pairs -> the one that was judged before, whose scores
            stand for its own, since it knows all questions.
        before: the index that was in service.
        known_first: the present setting searches the known questions first; so does the one that
            is recommended, though all are scored on the answers alone.
        bases: models untuned and tuned; None unless that was asked for.
        learned: by the name of a setting with weights to be learned, what came of that.
    """

    before: str
    metric: str
    rows: list[Row]
    choice: Choice
    split: dict[str, int]
    unmatched: Unmatched
    trained_on: int
    refits: dict[str, str]
    promoted: bool
    seconds: float
    results: Path
    known_first: bool = False
    bases: Bases | None = None
    learned: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        best = self.recommended
        return {
            "metric": self.metric,
            "split": self.split,
            "unmatched": self.unmatched.count,
            "unmatched_example": self.unmatched.example,
            "trained_on": self.trained_on,
            "refits": self.refits,
            "runs": [row.to_json(self.choice, self.metric) for row in self.rows],
            "recommended": {
                "name": best.setting.name,
                "wins": self.choice.wins,
                "reason": self.choice.reason,
                "index": best.built.index.name,
                **self.settings,
            },
            "learned": dict(self.learned),
            "best_on_dev": self.choice.best.setting.name,
            "bases": self.bases.to_json() if self.bases else None,
            "promoted": self.promoted,
            "seconds": round(self.seconds, 2),
            "results": str(self.results),
        }

    def records(self) -> list[dict[str, Any]]:
        """One row a setting, the present one first: what it is, scores with intervals, cost."""
        return [_flat(row.to_json(self.choice, self.metric)) for row in self.rows]

    def table(self) -> Table:
        """One row a setting, the present one first; below it what is recommended."""
        shown = list(dict.fromkeys((*SHOWN, self.metric)))
        split, reason = self.split, self.choice.reason
        return Table(
            ["setting", *shown, f"{self.metric}, change", "p (Holm)", "chunks", "ms"],
            [self._cells(row, shown) for row in self.rows],
            caption=f"settings chosen on {split['dev']} questions by {self.metric}, scored on "
            f"{split['test']} others",
            notes=[
                f"recommended: {reason}" if self.choice.wins else reason,
                *(self.bases.reasons if self.bases else []),
            ],
        )

    def _cells(self, row: Row, shown: Sequence[str]) -> list[str]:
        one = row.candidate
        name, change = one.setting.name, self.choice.changes.get(one.setting.name)
        return [
            name,
            *(score(row.scores[metric].mean) for metric in shown),
            *(
                ["(current)", ""]
                if change is None
                else [change_with_interval(change), p_value(self.choice.adjusted[name])]
            ),
            str(len(one.built.passages.nodes)),
            f"{one.milliseconds or 0:.0f}",
        ]

    @property
    def recommended(self) -> Candidate:
        """The setting that won; the present one if none did."""
        return self.choice.best if self.choice.wins else self.rows[0].candidate

    @property
    def settings(self) -> dict[str, str | int]:
        """The recommended setting by the names of a settings file."""
        best = self.recommended.setting
        return {
            "model": best.model,
            "chunk_size": best.chunking.chunk_size,
            "chunk_overlap": best.chunking.chunk_overlap,
            "retriever": self.retrieval.spec,
        }

    @property
    def retrieval(self) -> RetrievalOptions:
        """The recommended retriever, as it is asked in service."""
        best = self.recommended.setting.retrieval
        return replace(best, questions=self.known_first or best.questions)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Figures with intervals as columns of their own: METRIC, METRIC_low, METRIC_high."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = value if isinstance(value, dict) else {"mean": value}
        flat |= {name if key == "mean" else f"{name}_{key}": one for key, one in inner.items()}
    return flat
