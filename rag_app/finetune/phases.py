"""What is trained in turn: methods with losses, then the query adapter."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from rag_app.errors import TrainingError
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import Material
from rag_app.finetune.options import (
    REPORT_FILE,
    NegativeOptions,
    TrainingOptions,
    TrainingReport,
    training_key,
)
from rag_app.finetune.phase import Phase, dev_texts, train_phase, training_of
from rag_app.finetune.train.losses import find_loss
from rag_app.finetune.train.methods import ADAPTER, find_method
from rag_app.finetune.training_lock import training_lock
from rag_app.models import EmbeddingModel

ADAPTER_LOSS = "mnrl"


@dataclass(frozen=True)
class TrainedModel:
    """A model that went through all phases.

    Fields:
        report: one of all phases.
        options: by which it was made.
        recipe: what trains the same on other pairs without dev questions.
        without_map: the same weights before they got their query adapter; None where there is
            no adapter, or nothing else was trained.
    """

    model: EmbeddingModel
    report: TrainingReport
    options: TrainingOptions
    recipe: "Recipe"
    without_map: "TrainedModel | None" = None


@dataclass(frozen=True)
class FixedPhase:
    """A phase with what dev questions chose of it.

    Fields:
        epochs: to train; of an adapter its own short ones.
        whitening: share that an adapter begins with; None of weights.
    """

    name: Phase
    epochs: int
    whitening: float | None


Recipe: TypeAlias = tuple[FixedPhase, ...]


def plan_phases(options: TrainingOptions) -> list[Phase]:
    """The trainings that options ask for, in order: each method with each loss, the adapter last.

    Raises:
        TrainingError: an unknown loss or method, or settings that do not go together.
    """
    losses = _names(options.loss)
    for name in losses:
        find_loss(name)
    methods = _names(options.method)
    of_weights = _of_weights(methods)
    if not of_weights:
        _check_adapter_alone(options)
    if ADAPTER in methods[:-1]:
        raise TrainingError(
            f"--method is {options.method!r}; {ADAPTER} comes last, since it is made for the "
            f"weights: {','.join([*of_weights, ADAPTER])}"
        )
    phases = []
    for method in of_weights:
        for name in losses:
            find_method(method, loss=name)
            phases.append(Phase(method, name))
    _check_negatives(options.negatives, phases)
    return phases + [Phase(ADAPTER, ADAPTER_LOSS)] * (ADAPTER in methods)


def _check_adapter_alone(options: TrainingOptions) -> None:
    if options.loss != ADAPTER_LOSS:
        raise TrainingError(
            f"--method {ADAPTER} trains with --loss {ADAPTER_LOSS}, not with {options.loss}"
        )
    if options.negatives.kind != "none":
        raise TrainingError(
            f"--method {ADAPTER} takes no --negatives besides those of the batch; leave them out, "
            "or use --method full"
        )


def _check_negatives(negatives: NegativeOptions, phases: Sequence[Phase]) -> None:
    """Raise TrainingError where the number of a pair's negatives is named, and it gets none."""
    gets_some = negatives.kind != "none" or any(find_loss(p.loss).needs_negatives for p in phases)
    if negatives.per_pair != NegativeOptions.per_pair and not gets_some:
        raise TrainingError(
            f"--negatives-per-pair is {negatives.per_pair}, but --negatives is none; name them "
            "with --negatives mined or random"
        )


def train_phases(
    context: TrainingContext,
    base: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
) -> TrainedModel:
    """Train phase after phase, each from what the one before it left.

    Each is kept under a name of what it was made from, so that a run that was killed, or another
    that begins alike, takes up what is there.

    Without dev questions nothing tells how far an adapter should go: weights are then given none.

    Raises:
        TrainingError: another process is training the same.
    """
    if base.assumption and options.scale is None:
        context.tell(base.assumption)
    key = training_key(base.fingerprint, material.rows, dev_texts(material), options)
    with training_lock(context.models, f".training-{key}"):
        return _train_phases(context, base, material, options)


def _train_phases(
    context: TrainingContext,
    base: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
) -> TrainedModel:
    model = base
    reports: list[TrainingReport] = []
    recipe: list[FixedPhase] = []
    without_map = None
    scaled = _scaled(options, base)
    for phase in plan_phases(options):
        adapter = phase.method == ADAPTER
        if adapter and reports and material.dev is None:
            continue
        if adapter and reports:
            weights = replace(options, method=",".join(_of_weights(_names(options.method))))
            without_map = TrainedModel(model, _together(reports), weights, tuple(recipe))
        model, report = train_phase(context, phase, model, material, scaled)
        reports.append(report)
        recipe.append(FixedPhase(phase, report.best_epoch, report.whitening))
    return TrainedModel(model, _together(reports), options, tuple(recipe), without_map)


def with_map(
    context: TrainingContext,
    base: EmbeddingModel,
    material: Material,
    weights: TrainedModel,
) -> TrainedModel:
    """Weights with a query adapter made for them.

    Raises:
        TrainingError: training diverges.
    """
    options = weights.options
    phase = Phase(ADAPTER, ADAPTER_LOSS)
    model, report = train_phase(context, phase, weights.model, material, _scaled(options, base))
    return TrainedModel(
        model,
        _together([weights.report, report]),
        replace(options, method=f"{options.method},{ADAPTER}"),
        (*weights.recipe, FixedPhase(phase, report.best_epoch, report.whitening)),
        weights,
    )


def follow_recipe(
    context: TrainingContext,
    base: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
    *,
    recipe: Recipe,
) -> TrainedModel:
    """Train by a recipe, for as many epochs as it says; dev questions have no part in it.

    Raises:
        TrainingError: another process is training the same.
    """
    key = training_key(base.fingerprint, material.rows, [], options)
    with training_lock(context.models, f".training-{key}"):
        model, reports = base, []
        for fixed in recipe:
            chosen = replace(_scaled(options, base), whitening=fixed.whitening)
            if fixed.name.method == ADAPTER:
                chosen = replace(chosen, adapter_epochs=fixed.epochs)
            else:
                chosen = replace(chosen, epochs=fixed.epochs)
            model, report = train_phase(context, fixed.name, model, material, chosen, refit=True)
            reports.append(report)
    return TrainedModel(model, _together(reports), options, recipe)


def _scaled(options: TrainingOptions, base: EmbeddingModel) -> TrainingOptions:
    """With the scale of the base's family, unless one is named."""
    return replace(options, scale=options.scale or round(1 / base.temperature))


def is_trained(
    context: TrainingContext, base: EmbeddingModel, material: Material, options: TrainingOptions
) -> bool:
    """Whether the first of these trainings was done before, so that its result is taken."""
    first = plan_phases(options)[0]
    training = training_of(context, first, base, material, _scaled(options, base))
    return (training.target(context) / REPORT_FILE).is_file()


def _together(reports: Sequence[TrainingReport]) -> TrainingReport:
    """The report of the last weights, or else of the adapter; seconds and peak are of all."""
    of_weights = [report for report in reports if report.whitening is None]
    main = (of_weights or reports)[-1]
    peaks = [report.peak_memory_mb for report in reports if report.device == main.device]
    return replace(
        main,
        seconds=round(sum(report.seconds for report in reports), 2),
        peak_memory_mb=max(peaks),
        saved_dev_mrr=reports[-1].saved_dev_mrr,
        whitening=reports[-1].whitening,
    )


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _of_weights(methods: Sequence[str]) -> list[str]:
    return [method for method in methods if method != ADAPTER]
