"""What comes of an evaluation: one run for each subject with each retriever."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rag_app.chunking import Chunking
from rag_app.evaluate.comparison import Comparison, scores_json
from rag_app.evaluate.evidence import AskedIndex
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.statistics import Estimate

if TYPE_CHECKING:
    from rag_app.pairs import Unmatched


@dataclass(frozen=True)
class EvaluatedRun:
    """One subject under one retriever.

    Fields:
        tuned: whether the model was trained by `finetune`.
        trained_on: questions about documents that the model or the reranker was trained on, and
            those that the weights of a hybrid were learned from.
        model_trained_on, retriever_trained_on: those of each of them.
        unknown_weights: why it is not known which questions taught the weights; empty if it is.
        warnings: of single questions -> how many have it.
        against_first: compares it with the first run.
        no_verdict: why that comparison gives no verdict; empty if it does.
        known: of a retriever with known questions, how many of those asked the index knows.
        verbatim: they were asked as they stand; else each was held out while it was asked.
        fingerprint: of the model; None where it is not known, as is how the index was cut.
        names: what the passages of its outcomes are called, by chunk id.
        kept: name of the file of its outcomes, where they were written.
    """

    name: str
    model: str
    retriever: str
    scores: dict[str, Estimate]
    outcomes: list[Outcome]
    seconds: float
    tuned: bool
    trained_on: int
    warnings: dict[str, int]
    against_first: Comparison | None = None
    no_verdict: str = ""
    known: int | None = None
    verbatim: bool = False
    fingerprint: str | None = None
    chunking: Chunking | None = None
    kept: str | None = None
    model_trained_on: int = 0
    retriever_trained_on: int = 0
    unknown_weights: str = ""
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def known_label(self) -> str | None:
        """What was done with the questions that the index knows; None without `+questions`."""
        if self.known is None:
            return None
        return "verbatim" if self.verbatim else "held out"

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints for a run."""
        values: dict[str, Any] = {
            "name": self.name,
            "model": self.model,
            "retriever": self.retriever,
            "fingerprint": self.fingerprint,
            "chunk_size": self.chunking.chunk_size if self.chunking else None,
            "chunk_overlap": self.chunking.chunk_overlap if self.chunking else None,
            "outcomes": self.kept,
            "n": len(self.outcomes),
            **scores_json(self.scores),
            "seconds": round(self.seconds, 3),
            "trained_on": self.trained_on,
            "warnings": self.warnings,
            "known_questions": self.known_label,
            "known_asked": self.known,
        }
        if self.against_first:
            compared = self.against_first.to_json()
            values["against_first"] = {
                key: compared[key] for key in ("differences", "verdict", "reason", "flips")
            } | {"p_holm": self.against_first.p_holm}
            if self.no_verdict:
                values["against_first"] |= {"verdict": None, "reason": self.no_verdict}
        return values


@dataclass(frozen=True)
class Evaluated:
    """What became of a request.

    Fields:
        unmatched: questions that had no answer in the first index.
        indexes: of the runs, with their chunks.
        name: differs where anything that makes the scores does: what was asked, the weights of the
            models, the chunks.
    """

    runs: list[EvaluatedRun]
    unmatched: "Unmatched"
    indexes: list[AskedIndex]
    name: str
