"""How near an exported model's vectors are to those of the model it was made of."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunks import passage_text
from rag_app.errors import ModelError
from rag_app.evaluate.comparison import Comparison, compare_outcomes, exact_outcomes
from rag_app.evaluate.figures import change_with_interval
from rag_app.evaluate.verdict import PRIMARY_METRIC, certainly_fell
from rag_app.index import Passages
from rag_app.models import EmbeddingModel
from rag_app.progress import Progress, silent
from rag_app.vectors import Embedder, Vectors, row_cosines

if TYPE_CHECKING:
    from rag_app.index import VectorCache
    from rag_app.pairs import Question

MOST_COMPARED = 200


@dataclass(frozen=True)
class Exported:
    """What was written, and how near its vectors are to the model's.

    Fields:
        bytes: of the graph.
        cosine_mean, cosine_min: over up to 200 passages and, where questions pass the graph too and
            there are some, as many of these.
        comparison: the model against the graph on the questions; None without questions.
    """

    folder: Path
    bytes: int
    cosine_mean: float
    cosine_min: float
    comparison: Comparison | None

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        compared = self.comparison
        return {
            "folder": str(self.folder),
            "bytes": self.bytes,
            "cosine_mean": self.cosine_mean,
            "cosine_min": self.cosine_min,
            "n": compared.n if compared else None,
            "differences": compared
            and {metric: asdict(one) for metric, one in compared.differences.items()},
        }


@dataclass(frozen=True)
class Likeness:
    """Cosines between the vectors of a text, and the model against the graph on the questions.

    Fields:
        passages, questions: cosines of up to MOST_COMPARED of each.
        comparison: None without questions.
    """

    passages: Vectors
    questions: Vectors
    comparison: Comparison | None


def hold_against(
    model: EmbeddingModel,
    exported: Embedder,
    passages: Passages,
    questions: "Sequence[Question]",
    *,
    cache: "VectorCache",
    seed: int,
    progress: Progress = silent,
) -> Likeness:
    """Embed chunks and questions with the model and with what was made of it.

    Arguments:
        passages: with any model's vectors; all of them are embedded where there are questions.
        cache: for the model's own vectors.
    """
    nodes = passages.nodes if questions else passages.nodes[:MOST_COMPARED]
    texts = [passage_text(node) for node in nodes]
    progress(f"comparing its vectors on {len(texts)} chunks with the model's", 0, 0)
    before = Passages(nodes, cache.embed_passages(model, texts, progress=progress))
    after = Passages(nodes, exported.embed_passages(texts, progress=progress))
    asked = [question.text for question in questions[:MOST_COMPARED]]
    compared = None
    if questions:
        compared = compare_outcomes(
            exact_outcomes(before, model, questions, cache=cache),
            exact_outcomes(after, exported, questions),
            seed=seed,
        )
    return Likeness(
        row_cosines(before.vectors[:MOST_COMPARED], after.vectors[:MOST_COMPARED]),
        row_cosines(model.embed_queries(asked), exported.embed_queries(asked)),
        compared,
    )


def refuse_certain_loss(compared: Comparison, made: str, mend: str) -> None:
    """Refuse what certainly finds less than the model.

    Arguments:
        made, mend: what it has that the model has not, and what to do, for the message.
    Raises:
        ModelError: MRR@10 certainly fell.
    """
    if certainly_fell(compared.differences):
        change = compared.differences[PRIMARY_METRIC]
        raise ModelError(
            f"with {made} {PRIMARY_METRIC} certainly falls ({change_with_interval(change)}) on "
            f"{compared.n} questions; nothing was written, {mend}"
        )
