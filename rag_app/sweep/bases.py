"""Why not just a better base? Each model untuned and tuned, on the same held-out questions."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rag_app.chunks import passage_text
from rag_app.errors import ModelError
from rag_app.evaluate.figures import change_with_interval
from rag_app.evaluate.statistics import difference, estimate
from rag_app.evaluate.verdict import PRIMARY_METRIC, certainly_lower, certainly_rose
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import Material, negative_pool, prepare_materials
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import train_phases
from rag_app.finetune.presets import DEFAULT, as_quick
from rag_app.finetune.train.methods import ADAPTER, has_transformer
from rag_app.models import EmbeddingModel
from rag_app.pairs import SplitOptions, check_leaks, document_texts
from rag_app.sweep.scoring import Candidate

if TYPE_CHECKING:
    from rag_app.evaluate.statistics import Difference, Estimate
    from rag_app.pairs import Split
    from rag_app.sweep.indexes import Built, IndexBuilder
    from rag_app.sweep.scoring import Scorer

SHOWN = (PRIMARY_METRIC, "hit_rate@1")
# Of the questions to train on, the share that chooses checkpoints and the model named first.
DEV_SHARE = 0.2
# Passages that are embedded anew to see how long it takes, after as many as warm the model up.
TIMED, WARM_UP = 256, 8
UNTUNED, TUNED = "untuned", "tuned"


@dataclass(frozen=True)
class Base:
    """A model before and after tuning, scored on the same held-out questions.

    Fields:
        dev_mrr: untuned and tuned, on the questions that chose the checkpoint.
        embed_seconds: for 1,000 passages.
    """

    untuned: Candidate
    tuned: Candidate
    dev_mrr: tuple[float, float]
    embed_seconds: float

    @property
    def label(self) -> str:
        """The end of the untuned model's name."""
        return self.untuned.setting.model_label

    def scores(self, metric: str, *, seed: int) -> "tuple[Estimate, Estimate]":
        """On test, untuned and tuned."""
        before, after = self.untuned.test or [], self.tuned.test or []
        return estimate(before, metric, seed=seed), estimate(after, metric, seed=seed)

    def to_json(self, *, seed: int) -> dict[str, Any]:
        """What `--json` prints for a base."""
        scored = {metric: self.scores(metric, seed=seed) for metric in SHOWN}
        return {
            "model": self.untuned.setting.model,
            "tuned_model": self.tuned.setting.model,
            "tuned_index": self.tuned.built.index.name,
            UNTUNED: {metric: asdict(before) for metric, (before, _) in scored.items()},
            TUNED: {metric: asdict(after) for metric, (_, after) in scored.items()},
            "change": asdict(_change(self.untuned, self.tuned, seed)),
            "dev_mrr@10": {UNTUNED: self.dev_mrr[0], TUNED: self.dev_mrr[1]},
            "embed_seconds_per_1000": round(self.embed_seconds, 2),
            "milliseconds": self.tuned.milliseconds,
            "megabytes": self.tuned.built.megabytes,
        }


@dataclass(frozen=True)
class Bases:
    """The bases of a sweep, and what follows."""

    bases: list[Base]
    seed: int

    @property
    def first(self) -> tuple[Base, str]:
        """What is first on dev: a base, and whether tuned; of equal ones what embeds faster."""
        ranked = [
            (-mrr, base.embed_seconds, place, kind)
            for place, base in enumerate(self.bases)
            for kind, mrr in zip((UNTUNED, TUNED), base.dev_mrr, strict=True)
        ]
        *_, place, kind = min(ranked)
        return self.bases[place], kind

    @property
    def reasons(self) -> list[str]:
        """What is first on dev, and what that is worth on test, beside the prices."""
        base, kind = self.first
        best = _scored(base, kind)
        asked = len(best.test or [])
        own = [f"{kind} {base.label} is first on the questions that chose; on the {asked} others:"]
        for other in self.bases:
            for its in (UNTUNED, TUNED):
                one = _scored(other, its)
                if one is not best:
                    words = _over(_change(one, best, self.seed))
                    own.append(f"{words} {its} {other.label}{_price(other, base)}")
        return own

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        base, kind = self.first
        return {
            "runs": [one.to_json(seed=self.seed) for one in self.bases],
            "first": {"model": base.untuned.setting.model, "tuned": kind == TUNED},
            "reasons": self.reasons,
        }


def _scored(base: Base, kind: str) -> Candidate:
    return base.tuned if kind == TUNED else base.untuned


def _change(before: Candidate, after: Candidate, seed: int) -> "Difference":
    return difference(before.test or [], after.test or [], PRIMARY_METRIC, seed=seed)


def _over(change: "Difference") -> str:
    is_certain = certainly_rose(change) or certainly_lower(change)
    certain = "" if is_certain else ", which could be chance,"
    return f"{PRIMARY_METRIC} {change_with_interval(change)}{certain} over"


def _price(one: Base, other: Base) -> str:
    """What a base costs beside another; nothing beside itself."""
    if one is other:
        return ""
    ratio = one.embed_seconds / other.embed_seconds
    if ratio < 1:
        return f", which embeds {1 / ratio:.1f} times as fast"
    return f", which takes {ratio:.1f} times as long to embed"


def compare_bases(
    context: TrainingContext,
    builder: "IndexBuilder",
    scorer: "Scorer",
    candidates: Sequence[Candidate],
    split: "Split",
    *,
    metric: str,
    seed: int,
) -> Bases:
    """Tune each model at its best setting with the quick preset, and judge it on test.

    Arguments:
        candidates: untuned, scored on dev and test.
        split: `train` is what may be trained on, `test` what judges.
        metric: by which a model's setting is chosen.
    Raises:
        ModelError: a model whose weights are not here, or that is tuned already.
        PairsError: too few questions to train on.
    """
    best: dict[str, Candidate] = {}
    for one in sorted(candidates, key=lambda one: -one.mean(metric)):
        best.setdefault(one.setting.model, one)
    named = dict.fromkeys(one.setting.model for one in candidates)
    tune = _Tuning(context, builder, scorer, split, seed)
    return Bases([tune.base(best[model]) for model in named], seed)


@dataclass(frozen=True)
class _Tuning:
    context: TrainingContext
    builder: "IndexBuilder"
    scorer: "Scorer"
    split: "Split"
    seed: int

    def base(self, untuned: Candidate) -> Base:
        """Train, index, score and time one model."""
        model, built = self._model(untuned), untuned.built
        seconds = _embed_seconds(model, built)
        material = self._material(built, model)
        tuned = self._train(model, material)
        self.builder.add_tuned(tuned, base=model.name)
        setting = replace(untuned.setting, model=tuned.name)
        again = self.scorer.on_dev(setting, material.split.dev)
        before = self.scorer.on_dev(untuned.setting, material.split.dev)
        return Base(
            untuned,
            self.scorer.on_test(again, self.split.test),
            (before.mean(PRIMARY_METRIC), again.mean(PRIMARY_METRIC)),
            seconds,
        )

    def _model(self, one: Candidate) -> EmbeddingModel:
        model, info = self.builder.model(one.setting.model), one.built.index.info
        if not isinstance(model, EmbeddingModel):
            raise ModelError(
                f"{model.name} was brought as an embedder, whose weights are not here to be tuned; "
                "leave --tune out"
            )
        if info.model != info.base_model:
            raise ModelError(
                f"{model.name} is tuned already; name the index of its base "
                f"({info.base_model}) with --index, or leave --tune out"
            )
        return model

    def _material(self, built: "Built", model: EmbeddingModel) -> Material:
        """Rows of the questions that may be trained on; none of the test's passages is seen."""
        options = SplitOptions(dev_share=DEV_SHARE, test_share=0.0, held_out="documents")
        [made] = prepare_materials(
            self.split.train,
            [],
            train_on="labelled",
            passages=built.passages,
            embed=model.embed_queries,
            options=options,
            batch_size=TrainingOptions().batch_size,
            seed=self.seed,
        )
        split = replace(made.split, test=self.split.test)
        pool = negative_pool(split, built.passages)
        check_leaks(
            split,
            document_texts(built.passages.nodes),
            questions=[row.question for row in made.rows],
            passages=[*(row.passage for row in made.rows), *pool.texts],
        )
        return replace(made, split=split, pool=pool)

    def _train(self, model: EmbeddingModel, material: Material) -> EmbeddingModel:
        # A static model has no layers to train: the query adapter is all there is.
        method = DEFAULT["method"] if has_transformer(model.transformer) else ADAPTER
        options = TrainingOptions(method=method, seed=self.seed)
        options = as_quick(options, material.rows, model)
        return train_phases(self.context, model, material, options).model


def _embed_seconds(model: EmbeddingModel, built: "Built") -> float:
    """Seconds for 1,000 passages, by some that are embedded whether they are known or not."""
    texts = [passage_text(node) for node in built.passages.nodes[:TIMED]]
    model.embed_passages(texts[:WARM_UP])
    started = time.perf_counter()
    model.embed_passages(texts)
    return 1000 * (time.perf_counter() - started) / len(texts)
