"""What a tuning is asked for, and what it brought."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_app.evaluate.comparison import Comparison, scores_json
from rag_app.evaluate.verdict import PRIMARY_METRIC, Verdict
from rag_app.finetune.data.material import SplitOptions, TrainOn
from rag_app.finetune.data.negatives import NegativeOptions
from rag_app.finetune.data.rows import CutPassages
from rag_app.finetune.options import TrainingOptions, TrainingReport
from rag_app.finetune.presets import DEFAULT, Tried

NO_OPINION = "none"


@dataclass(frozen=True)
class FinetuneRequest:
    """What to tune on and how.

    Fields:
        second_opinion: on the pairs' labels: "none", "agreement" of embedding and BM25, or the
            name of a cross-encoder.
        preset: "quick" or "best" instead of what the options say of method and epochs.
        minutes: that preset "best" may search.
        canary: questions from elsewhere with their passages; the sample data unless named.
    """

    pairs: Path | None = None
    train_on: TrainOn = "labelled"
    index: str | None = None
    options: TrainingOptions = field(default_factory=lambda: TrainingOptions(**DEFAULT))
    split: SplitOptions = field(default_factory=SplitOptions)
    negatives: NegativeOptions = field(default_factory=NegativeOptions)
    second_opinion: str = NO_OPINION
    preset: str | None = None
    minutes: float = 30.0
    canary: Path | None = None
    promote: bool = True


@dataclass(frozen=True)
class FinetuneResult:
    """What tuning brought. `index` is the tuned one, in service if `promoted`.

    Fields:
        unmatched, echoes: questions that were left out: their answers are not in the index, or
            they repeat them.
        cut: passages that training did not read to the end.
        canary_skipped: why there is no canary; empty if there is one.
        titles: of the passages that answer the held-out questions, by chunk id.
    """

    model: Path
    base_model: str
    index: str
    base_index: str
    promoted: bool
    split: dict[str, int]
    rows: int
    unmatched: int
    echoes: int
    doubted: int
    cut: CutPassages
    comparison: Comparison
    training_scores: Comparison
    verdict: Verdict
    canary: Comparison | None
    canary_skipped: str
    titles: dict[str, str]
    search_loss: float
    training: TrainingReport
    options: TrainingOptions
    tried: list[Tried]
    seconds: float
    results: Path

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        compared = self.comparison.to_json()
        return {
            "model": str(self.model),
            "base_model": self.base_model,
            "index": self.index,
            "base_index": self.base_index,
            "promoted": self.promoted,
            "verdict": self.verdict.decision,
            "reason": self.verdict.reason,
            "split": self.split,
            "training_pairs": self.rows,
            "unmatched": self.unmatched,
            "echoes": self.echoes,
            "doubted": self.doubted,
            "cut_passages": asdict(self.cut),
            "n": compared["n"],
            "base": compared["base"],
            "tuned": compared["tuned"],
            "differences": compared["differences"],
            "flips": compared["flips"],
            "p": self.comparison.differences[PRIMARY_METRIC].p,
            "on_training_questions": {
                "base": scores_json(self.training_scores.base),
                "tuned": scores_json(self.training_scores.tuned),
            },
            "canary": _canary_json(self.canary),
            "search_loss@10": self.search_loss,
            "options": asdict(self.options),
            "tried": [asdict(tried) for tried in self.tried],
            "training": asdict(self.training),
            "seconds": round(self.seconds, 2),
            "pairs_per_second": self.training.pairs_per_second,
            "peak_memory_mb": self.training.peak_memory_mb,
            "results": str(self.results),
        }


def _canary_json(canary: Comparison | None) -> dict[str, Any] | None:
    if canary is None:
        return None
    compared = canary.to_json()
    return {key: compared[key] for key in ("n", "base", "tuned", "differences")}
