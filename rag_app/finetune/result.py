"""What a tuning brought."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rag_app.evaluate.canary import CanaryOptions
from rag_app.evaluate.comparison import Comparison, scores_json
from rag_app.evaluate.verdict import PRIMARY_METRIC, Verdict
from rag_app.finetune.back_off import Candidate
from rag_app.finetune.data.rows import CutPassages
from rag_app.finetune.judge import Judgement
from rag_app.finetune.options import TrainingOptions, TrainingReport
from rag_app.finetune.refit import Refit
from rag_app.finetune.retrieval import JudgedRetrieval
from rag_app.pairs import Unmatched
from rag_app.result import Result, Table


@dataclass(frozen=True)
class DataSummary:
    """How pairs were used.

    Fields:
        split: pairs by what they were for: train, dev, test (new documents), known (test questions
            about documents that are trained on). Of folds train and dev are those of the first,
            test and known of all, each pair once.
        folds: number of splits, 1 without folds.
        test_is_given: test and known are questions of a file of their own.
        repeat_test: pairs left out of training, since a question of that file asks the same.
        training_pairs: rows that were trained on; of folds, in the first.
        unmatched: questions left out because their answer is not in the index.
        self_answering: questions left out because they repeat the passage that answers them.
        cut: passages that training did not read to the end.
    """

    split: dict[str, int]
    folds: int
    test_is_given: bool
    repeat_test: int
    training_pairs: int
    unmatched: Unmatched
    self_answering: int
    cut: CutPassages


@dataclass(frozen=True, repr=False)
class FinetuneResult(Result):
    """What tuning brought. `index` is the tuned one, in service if `promoted`.

    Fields:
        model: what is indexed: the refit, if there is one that passed its checks.
        training, options: of the model that was judged; of folds, of the first. A milder blend or
            method than asked for where what was asked for did harm.
        judged: the retriever of the tuned model, which the verdict is about.
        ann_recall: share of the exact ten nearest chunks that the index's own search returns.
        frontier: forms of the model that were tried, strongest first, since what was trained did
            certain harm on out-of-domain questions; empty if it did not. Of folds, of the first
            where it did.
        weakened: splits where it did.
        canary_options: which out-of-domain questions were asked for, and what for.
        titles: of the passages that answer the held-out questions, by chunk id.
        results: folder of what was measured.
    """

    model: Path
    base_model: str
    index: str
    base_index: str
    promoted: bool
    data: DataSummary
    training: TrainingReport
    options: TrainingOptions
    frontier: list[Candidate]
    weakened: int
    canary_options: CanaryOptions
    judgement: Judgement
    refit: Refit | None
    judged: JudgedRetrieval
    ann_recall: float
    titles: dict[str, str]
    seconds: float
    results: Path

    @property
    def verdict(self) -> Verdict:
        """Promote, hold or reject, and why."""
        return self.judgement.verdict

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        judgement, data = self.judgement, self.data
        compared, training = judgement.comparison.to_json(), judgement.training_scores
        return {
            "model": str(self.model),
            "base_model": self.base_model,
            "index": self.index,
            "base_index": self.base_index,
            "promoted": self.promoted,
            "verdict": self.verdict.decision,
            "reason": self.verdict.reason,
            "split": data.split,
            "folds": data.folds,
            "test_is_given": data.test_is_given,
            "repeat_test": data.repeat_test,
            "training_pairs": data.training_pairs,
            "unmatched": data.unmatched.count,
            "unmatched_example": data.unmatched.example,
            "self_answering": data.self_answering,
            "cut_passages": asdict(data.cut),
            "n": compared["n"],
            "base": compared["base"],
            "tuned": compared["tuned"],
            "plain_encode": scores_json(judgement.plain) if judgement.plain else None,
            "differences": compared["differences"],
            "held_out": {
                what: {"n": one.n, **compared_json(one)} for what, one in judgement.held_out.items()
            },
            "retriever": self.judged.options.spec,
            "learned": self.judged.learned,
            "parts": {name: compared_json(one) for name, one in judgement.parts.items()},
            "known_questions": _compared_or_none(judgement.known),
            "refit": self.refit.to_json() if self.refit else None,
            "flips": compared["flips"],
            "p": judgement.comparison.differences[PRIMARY_METRIC].p,
            "on_training_questions": {
                "base": scores_json(training.base),
                "tuned": scores_json(training.tuned),
            },
            "canary": _compared_or_none(judgement.canary),
            "canary_use": self.canary_options.use,
            "ann_recall@10": self.ann_recall,
            "options": asdict(self.options),
            "training": asdict(self.training),
            "frontier": [asdict(candidate) for candidate in self.frontier],
            "weakened": self.weakened,
            "seconds": round(self.seconds, 2),
            "pairs_per_second": self.training.pairs_per_second,
            "peak_memory_mb": self.training.peak_memory_mb,
            "results": str(self.results),
        }

    def records(self) -> list[dict[str, Any]]:
        """One row a metric: base, tuned and their difference, each with its 95 % interval."""
        return self.judgement.comparison.records()

    def table(self) -> Table:
        """One row a metric: base, tuned and their difference; below it the verdict."""
        return replace(self.judgement.comparison.table(), notes=[str(self.verdict)])


def _compared_or_none(compared: Comparison | None) -> dict[str, Any] | None:
    return None if compared is None else {"n": compared.n, **compared_json(compared)}


def compared_json(compared: Comparison) -> dict[str, Any]:
    """Base, tuned and their differences, by metric."""
    plain = compared.to_json()
    return {key: plain[key] for key in ("base", "tuned", "differences")}
