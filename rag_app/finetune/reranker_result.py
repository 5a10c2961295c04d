"""What tuning a reranker brought."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rag_app.evaluate.comparison import Comparison
from rag_app.evaluate.verdict import PRIMARY_METRIC, Verdict
from rag_app.finetune.data.material import Material
from rag_app.finetune.options import TrainingOptions, TrainingReport
from rag_app.finetune.result import compared_json
from rag_app.pairs import HeldOut
from rag_app.retrieve import RetrievalOptions


@dataclass(frozen=True)
class RerankerResult:
    """A tuned cross-encoder, and base against tuned: vector search without and with it.

    Fields:
        model: folder of the cross-encoder; its name goes into `vector+rerank:NAME`.
        base_model: what it was trained from.
        index: whose vectors found the candidates.
        retrieval: what was judged.
        held_out: comparisons by what is new about the questions.
        ms_per_question: from a question's vector to its reranked passages.
        results: folder of what was measured.
    """

    model: Path
    base_model: str
    index: str
    retrieval: RetrievalOptions
    material: Material
    held_out: dict[HeldOut, Comparison]
    verdict: Verdict
    ms_per_question: float
    training: TrainingReport
    options: TrainingOptions
    seconds: float
    results: Path

    @property
    def comparison(self) -> Comparison:
        """On questions about new documents, or where none are held out, about known ones."""
        return next(iter(self.held_out.values()))

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        material, compared = self.material, self.comparison.to_json()
        split = material.split
        return {
            "model": str(self.model),
            "base_model": self.base_model,
            "index": self.index,
            "verdict": self.verdict.decision,
            "reason": self.verdict.reason,
            "split": {
                "train": len(split.train),
                "dev": len(split.dev),
                "test": len(split.test),
                "known": len(split.known),
            },
            "test_is_given": split.test_is_given,
            "repeat_test": split.repeat_test,
            "training_pairs": len(material.rows),
            "unmatched": material.unmatched.count,
            "unmatched_example": material.unmatched.example,
            "self_answering": material.self_answering,
            "n": compared["n"],
            "base": compared["base"],
            "tuned": compared["tuned"],
            "differences": compared["differences"],
            "held_out": {
                what: {"n": one.n, **compared_json(one)} for what, one in self.held_out.items()
            },
            "p": self.comparison.differences[PRIMARY_METRIC].p,
            "retriever": self.retrieval.spec,
            "fetch_k": self.retrieval.fetch_k,
            "ms_per_question": round(self.ms_per_question, 1),
            "options": asdict(self.options),
            "training": asdict(self.training),
            "seconds": round(self.seconds, 2),
            "results": str(self.results),
        }
