"""Third step: index with the tuned model, score base and tuned on held-out questions, decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_app.chunks import passage_text
from rag_app.evaluate.canary import watch_canary
from rag_app.evaluate.comparison import (
    Comparison,
    compare_outcomes,
    exact_outcomes,
    search_loss,
)
from rag_app.evaluate.statistics import Estimate, summarise
from rag_app.evaluate.verdict import Verdict, guard
from rag_app.finetune.context import TrainingContext, TunableIndex
from rag_app.index import IndexInfo, OpenIndex, Passages, name_for
from rag_app.models import EmbeddingModel
from rag_app.models.plain import PlainEncode
from rag_app.pairs import Question

if TYPE_CHECKING:
    from rag_app.finetune.prepare import Prepared


@dataclass(frozen=True)
class Judgement:
    """What held-out questions say.

    Fields:
        comparison: base against tuned on the test questions.
        training_scores: the same on the training questions, which is no measure of quality.
        plain: scores on the test questions of plain `encode`, which leaves out prompts and the map
            on questions; None where it gives the same vectors.
        canary: base against tuned on out-of-domain questions.
        canary_skipped: why there is no canary; empty if there is one.
        ann_recall: share of the exact ten nearest chunks that the index's own search returns.
    """

    comparison: Comparison
    training_scores: Comparison
    plain: dict[str, Estimate] | None
    canary: Comparison | None
    canary_skipped: str
    verdict: Verdict
    ann_recall: float


def make_tuned(context: TrainingContext, base: TunableIndex, tuned: EmbeddingModel) -> TunableIndex:
    """The index of the tuned model beside that of the base, to be filled."""
    catalog = context.workspace.catalog
    info = IndexInfo.of(tuned, base.index.info.chunking, base_model=base.index.info.base_model)
    return OpenIndex(catalog.make(name_for(catalog.names(), info), info), tuned)


def judge(
    context: TrainingContext, prepared: "Prepared", tuned: TunableIndex, *, seed: int
) -> Judgement:
    """Score the base and the tuned model on the same questions, and decide."""
    base, material = prepared.base.model, prepared.material
    passages = tuned.index.passages()

    def compared(questions: Sequence[Question]) -> Comparison:
        before, after = (
            exact_outcomes(each, model, questions, cache=context.cache, progress=context.progress)
            for each, model in ((prepared.passages, base), (passages, tuned.model))
        )
        return compare_outcomes(before, after, seed=seed)

    comparison, training_scores = compared(material.test), compared(material.train)
    canary = prepared.canary
    watched = (
        watch_canary(canary, base, tuned.model, cache=context.cache, seed=seed) if canary else None
    )
    verdict = guard(comparison.verdict, watched.differences) if watched else comparison.verdict
    return Judgement(
        comparison=comparison,
        training_scores=training_scores,
        plain=_plain_scores(tuned.model, passages, material.test, seed=seed),
        canary=watched,
        canary_skipped=prepared.canary_skipped,
        verdict=verdict,
        ann_recall=1 - search_loss(tuned.index, tuned.model, comparison.tuned_outcomes),
    )


def _plain_scores(
    tuned: EmbeddingModel, passages: Passages, questions: Sequence[Question], *, seed: int
) -> dict[str, Estimate] | None:
    plain = PlainEncode(tuned)
    if plain.is_the_same:
        return None
    if tuned.prompts.passage:
        texts = [passage_text(node) for node in passages.nodes]
        passages = Passages(passages.nodes, plain.embed_passages(texts))
    return summarise(exact_outcomes(passages, plain, questions), seed=seed)
