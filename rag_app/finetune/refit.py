"""The recipe that was judged, trained again on all pairs.

The judged model was not trained on dev and test, by default 40 % of the pairs or more. After a
promotion the same training runs on all of them. Nothing is left to judge that model by, so the
verdict is about the recipe, and what can go wrong is checked: out-of-domain questions, dev
questions, and whether it answers as the judged model does.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.evaluate.comparison import Comparison, compare_outcomes
from rag_app.evaluate.verdict import certainly_fell
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.dev import ReciprocalRanks, certainly_fell_on_dev, dev_reciprocal_ranks
from rag_app.finetune.data.material import all_pairs
from rag_app.finetune.phases import Recipe, TrainedModel, follow_recipe
from rag_app.finetune.trial import Trial, on_canary
from rag_app.models import EmbeddingModel
from rag_app.pairs import training_documents, write_training_documents

if TYPE_CHECKING:
    from rag_app.finetune.prepare import Prepared


@dataclass(frozen=True)
class Refit:
    """A model that was trained on all pairs by a judged recipe, and how it was checked.

    Fields:
        pairs: that it was trained on.
        judged: folder of the model that was judged; of several, of the first.
        canary: base against refit on out-of-domain questions; None without a canary.
        dev_mrr: MRR@10 of the judged model and of the refit on the judged one's dev questions,
            which the refit was trained on; None without dev questions.
        agreement: share of out-of-domain questions with the same first passage by both.
        refused: why it is not taken; empty if it is.
    """

    trained: TrainedModel
    pairs: int
    judged: Path
    canary: Comparison | None
    dev_mrr: tuple[float, float] | None
    agreement: float | None
    refused: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        change = self.canary.differences["mrr@10"] if self.canary else None
        return {
            "model": self.trained.model.name,
            "pairs": self.pairs,
            "judged_model": self.judged.name,
            "canary": [change.mean, change.low, change.high] if change else None,
            "dev_mrr@10": list(self.dev_mrr) if self.dev_mrr else None,
            "agreement": self.agreement,
            "refused": self.refused,
        }


def refit(
    context: TrainingContext,
    prepared: "Prepared",
    trials: Sequence[Trial],
    *,
    batch_size: int,
) -> Refit:
    """Train on all pairs as the trials did, and check what came of it.

    Arguments:
        trials: one, or one for each fold, whose recipes are brought to one.
    """
    first = trials[0]
    # Some folds may have had to be weakened further than others.
    blend = statistics.median(trial.trained.options.blend for trial in trials)
    material = all_pairs(
        [trial.material for trial in trials],
        prepared.passages,
        partial(context.cache.embed_queries, prepared.base.model),
        batch_size=batch_size,
    )
    recipe = common_recipe([trial.trained.recipe for trial in trials])
    trained = follow_recipe(
        context,
        prepared.base.model,
        material,
        replace(first.trained.options, blend=blend),
        recipe=recipe,
    )
    # Every question is known to it, so that others can only ask the judged one.
    known = training_documents(trained.model)
    write_training_documents(trained.model.folder, known, judged=first.trained.model.name)
    seed = first.trained.options.seed
    watched = on_canary(context, prepared, trained.model)
    canary = compare_outcomes(watched.base, watched.tuned, seed=seed) if watched else None
    dev, ranks = first.material.dev, _reciprocal_ranks(context, first, trained.model)
    fell = dev is not None and ranks is not None and certainly_fell_on_dev(dev, *ranks, seed=seed)
    return Refit(
        trained=trained,
        pairs=len(material.rows),
        judged=first.trained.model.folder,
        canary=canary,
        dev_mrr=(float(ranks[0].mean()), float(ranks[1].mean())) if ranks else None,
        agreement=_agreement(first, canary),
        refused=why_refused(canary if prepared.canary_guards else None, fell_on_dev=fell),
    )


def common_recipe(recipes: Sequence[Recipe]) -> Recipe:
    """Phases that most recipes have, each with the median of their epochs."""
    kept = [phase for phase in _phases(recipes) if 2 * len(phase) > len(recipes)]
    return tuple(
        replace(same[0], epochs=round(statistics.median(one.epochs for one in same)))
        for same in kept
    )


def _phases(recipes: Sequence[Recipe]) -> list[list[Any]]:
    """The same phase of all recipes that have it, in the order of training."""
    longest = max(recipes, key=len)
    every = [phase for recipe in recipes for phase in recipe]
    return [[one for one in every if one.name == phase.name] for phase in longest]


def _reciprocal_ranks(
    context: TrainingContext, judged: Trial, model: EmbeddingModel
) -> tuple[ReciprocalRanks, ReciprocalRanks] | None:
    """Reciprocal ranks of the dev questions, with the judged model and with the refit."""
    dev = judged.material.dev
    if dev is None:
        return None
    before, after = (
        dev_reciprocal_ranks(each, dev, context.cache) for each in (judged.trained.model, model)
    )
    return before, after


def _agreement(judged: Trial, refitted: Comparison | None) -> float | None:
    if judged.canary is None or refitted is None:
        return None
    same = [
        one.retrieved[:1] == other.retrieved[:1]
        for one, other in zip(judged.canary.tuned, refitted.tuned_outcomes, strict=True)
    ]
    return sum(same) / len(same)


def why_refused(canary: Comparison | None, *, fell_on_dev: bool) -> str:
    """Why a refit is not taken; empty if it is.

    Arguments:
        canary: base against refit on out-of-domain questions.
        fell_on_dev: whether it certainly fell on the judged model's dev questions.
    """
    if canary and certainly_fell(canary.differences):
        return "it certainly fell on out-of-domain questions (canary)"
    if fell_on_dev:
        return "it certainly fell on the dev questions, which it was trained on"
    return ""
