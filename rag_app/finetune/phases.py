"""What is trained in turn: methods with losses, then the query adapter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from rag_app.duration import foretold
from rag_app.errors import TrainingError
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.curves import UNLOGGED
from rag_app.finetune.data.dev import DEV_CURVE
from rag_app.finetune.data.material import Material
from rag_app.finetune.data.negatives import (
    as_many_each,
    mined_negatives,
    random_negatives,
)
from rag_app.finetune.options import (
    REPORT_FILE,
    TrainingOptions,
    TrainingReport,
    TrainingRow,
    read_report,
    training_key,
)
from rag_app.finetune.query_map.training import train_adapter
from rag_app.finetune.train.callbacks import StepLog
from rag_app.finetune.train.engine import EmbeddingFinetuneEngine
from rag_app.finetune.train.losses import LOSSES, find_loss
from rag_app.finetune.train.methods import ADAPTER, find_method
from rag_app.finetune.training_lock import training_lock
from rag_app.index.names import short_model_name
from rag_app.models import EmbeddingModel
from rag_app.pairs import training_documents, write_training_documents
from rag_app.progress import renamed
from rag_app.text.counts import counted

ADAPTER_LOSS = "mnrl"
# Steps that tell how long a training will take.
TIMED_STEPS = 3
# Characters of a folder's name.
LONGEST_NAME = 30
# Beside losses and the adapter, what a folder's name says of how its weights were made.
BLEND = "blend"


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
class Phase:
    """One training: a method and a loss."""

    method: str
    loss: str


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
    key = training_key(base.fingerprint, material.rows, _texts(material), options)
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
        model, report = _train_phase(context, phase, model, material, scaled)
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
    model, report = _train_phase(context, phase, weights.model, material, _scaled(options, base))
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
            model, report = _train_phase(context, fixed.name, model, material, chosen, refit=True)
            reports.append(report)
    return TrainedModel(model, _together(reports), options, recipe)


def _scaled(options: TrainingOptions, base: EmbeddingModel) -> TrainingOptions:
    """With the scale of the base's family, unless one is named."""
    return replace(options, scale=options.scale or round(1 / base.temperature))


def _train_phase(
    context: TrainingContext,
    phase: Phase,
    model: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
    *,
    refit: bool = False,
) -> tuple[EmbeddingModel, TrainingReport]:
    training = _training(context, phase, model, material, options)
    if refit:
        training = replace(training, kind=f"refit-{training.kind}")
    adapter = phase.method == ADAPTER
    name = "train query adapter" if adapter else f"train weights, {phase.loss}"
    watched = replace(context, progress=renamed(context.progress, "train", name))
    return _train_one(watched, training)


def is_trained(
    context: TrainingContext, base: EmbeddingModel, material: Material, options: TrainingOptions
) -> bool:
    """Whether the first of these trainings was done before, so that its result is taken."""
    first = plan_phases(options)[0]
    training = _training(context, first, base, material, _scaled(options, base))
    return (training.target(context) / REPORT_FILE).is_file()


@dataclass(frozen=True)
class _Training:
    """One training: what it starts from, reads and is told.

    Fields:
        kind: stands in the name of the folder that it writes.
    """

    base: EmbeddingModel
    rows: Sequence[TrainingRow]
    material: Material
    options: TrainingOptions
    kind: str

    def target(self, context: TrainingContext) -> Path:
        """The folder that it writes."""
        material = self.material
        read = material.corpus if self.options.method == ADAPTER else []
        texts = [*_texts(material), *read]
        key = training_key(self.base.fingerprint, self.rows, texts, self.options)
        return context.models / folder_name(self.base.name, self.kind, key)


def _training(
    context: TrainingContext,
    phase: Phase,
    model: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
) -> _Training:
    rows = _rows(context, phase, model, material, options)
    kind = ADAPTER if phase.method == ADAPTER else phase.loss
    return _Training(model, rows, material, _of_phase(phase, options), kind)


def _of_phase(phase: Phase, options: TrainingOptions) -> TrainingOptions:
    return replace(
        options,
        method=phase.method,
        loss=phase.loss,
        # What says nothing to weights must not train them anew.
        whitening=options.whitening if phase.method == ADAPTER else None,
    )


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


def _rows(
    context: TrainingContext,
    phase: Phase,
    model: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
) -> Sequence[TrainingRow]:
    if phase.method == ADAPTER:
        return material.rows
    loss = find_loss(phase.loss)
    if loss.trains_on == "passages":
        return [TrainingRow("", text, text) for text in material.pool.texts]
    seed, negatives = options.seed, options.negatives
    rows = material.rows
    if negatives.kind == "mined":
        rows = mined_rows(context, model, material, negatives.per_pair, seed=seed)
    elif negatives.kind == "random" or loss.needs_negatives:
        rows = random_negatives(
            rows, material.row_clusters, material.pool, negatives.per_pair, seed=seed
        )
    return rows if loss.needs_negatives else as_many_each(rows)


def mined_rows(
    context: TrainingContext, model: EmbeddingModel, material: Material, count: int, *, seed: int
) -> list[TrainingRow]:
    """The rows with `count` negatives each that are near by the model's vectors."""
    rows, pool, cache = material.rows, material.pool, context.cache
    return mined_negatives(
        rows,
        material.row_clusters,
        pool,
        count,
        questions=cache.embed_queries(model, [row.question for row in rows]),
        positives=cache.embed_passages(model, [row.passage for row in rows]),
        passages=cache.embed_passages(model, pool.texts, progress=context.progress),
        seed=seed,
    )


def _train_one(
    context: TrainingContext, training: _Training
) -> tuple[EmbeddingModel, TrainingReport]:
    pairs, epochs = counted(len(training.rows), "pair"), counted(training.options.epochs, "epoch")
    work = f"{pairs}, {epochs}, without the scores on dev between them"
    context = replace(
        context, progress=foretold(context.progress, "train", work, after=TIMED_STEPS)
    )
    target = training.target(context)
    if (target / REPORT_FILE).is_file():
        report = read_report(target)
        if context.curves is not UNLOGGED:
            context.tell(f"{target.name} was trained before, so it has no steps to log")
    else:
        # Another command may begin with the same phase.
        with training_lock(context.models, f".{target.name}"):
            report = _train_into(context, target, training)
    # Also of what was trained before: it may have been killed before this line.
    before = training_documents(training.base)
    write_training_documents(target, {*training.material.training_documents, *before})
    return EmbeddingModel(target.name, target, device=context.device), report


def _texts(material: Material) -> list[str]:
    return [*material.dev.questions, *material.dev.passages] if material.dev else []


def _train_into(context: TrainingContext, target: Path, training: _Training) -> TrainingReport:
    material, options = training.material, training.options
    log = partial(context.curves.log, training.kind)
    if options.method == ADAPTER:
        report = train_adapter(
            training.base,
            training.rows,
            corpus=material.corpus,
            dev=material.dev,
            target=target,
            options=options,
            cache=context.cache,
            progress=context.progress,
        )
        _log_epochs(report, options, log)
        return report
    engine = EmbeddingFinetuneEngine(
        training.base,
        training.rows,
        dev=material.dev,
        target=target,
        options=options,
        device=context.device,
        progress=context.progress,
        log=log,
    )
    engine.finetune()
    return engine.finished_report()


def _log_epochs(report: TrainingReport, options: TrainingOptions, log: StepLog) -> None:
    """The epochs of a query adapter, which are over in milliseconds."""
    for epoch, loss in enumerate(report.losses, 1):
        log({"loss": loss, "learning_rate": options.learning_rate}, epoch)
    for epoch, value in enumerate(report.dev_mrr, 1):
        log({DEV_CURVE: value}, epoch)


def folder_name(base: str, kind: str, key: str) -> str:
    """The last part of a base's name, without what earlier phases added, and what is made of it."""
    end = f"-{kind}-{key}"
    kinds = "|".join([*LOSSES, ADAPTER, BLEND])
    plain = re.sub(rf"(-(refit-)?({kinds})-[0-9a-f]{{8}})+$", "", base)
    return short_model_name(plain, LONGEST_NAME - len(end)) + end
