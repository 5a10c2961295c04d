"""One training: a method with a loss, into a folder named by all that decides its outcome."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rag_app.duration import foretold
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
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.training_lock import training_lock
from rag_app.index.names import short_model_name
from rag_app.models import EmbeddingModel
from rag_app.pairs import training_documents, write_training_documents
from rag_app.progress import renamed
from rag_app.text.counts import counted

# Steps that tell how long a training will take.
TIMED_STEPS = 3
# Characters of a folder's name.
LONGEST_NAME = 30
# Beside losses and the adapter, what a folder's name says of how its weights were made.
BLEND = "blend"


@dataclass(frozen=True)
class Phase:
    """One training: a method and a loss."""

    method: str
    loss: str


def train_phase(
    context: TrainingContext,
    phase: Phase,
    model: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
    *,
    refit: bool = False,
) -> tuple[EmbeddingModel, TrainingReport]:
    """The model that a phase makes of another, and what its training measured.

    What was trained before is taken.

    Arguments:
        options: of all phases.
        refit: the folder's name says that it is trained on all pairs.
    Raises:
        TrainingError: another process is training the same, or training diverges.
    """
    training = training_of(context, phase, model, material, options)
    if refit:
        training = replace(training, kind=f"refit-{training.kind}")
    adapter = phase.method == ADAPTER
    name = "train query adapter" if adapter else f"train weights, {phase.loss}"
    watched = replace(context, progress=renamed(context.progress, "train", name))
    return _train_one(watched, training)


@dataclass(frozen=True)
class Training:
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
        texts = [*dev_texts(material), *read]
        key = training_key(self.base.fingerprint, self.rows, texts, self.options)
        return context.models / folder_name(self.base.name, self.kind, key)


def training_of(
    context: TrainingContext,
    phase: Phase,
    model: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
) -> Training:
    """What a phase trains, with the rows that its loss reads."""
    rows = _rows(context, phase, model, material, options)
    kind = ADAPTER if phase.method == ADAPTER else phase.loss
    return Training(model, rows, material, _of_phase(phase, options), kind)


def _of_phase(phase: Phase, options: TrainingOptions) -> TrainingOptions:
    return replace(
        options,
        method=phase.method,
        loss=phase.loss,
        # What says nothing to weights must not train them anew.
        whitening=options.whitening if phase.method == ADAPTER else None,
    )


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
        positives=cache.embed_passages(model, [row.positive for row in rows]),
        passages=cache.embed_passages(model, pool.texts, progress=context.progress),
        seed=seed,
    )


def _train_one(
    context: TrainingContext, training: Training
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


def dev_texts(material: Material) -> list[str]:
    """What dev questions decide by: they and their passages; nothing without them."""
    return [*material.dev.questions, *material.dev.passages] if material.dev else []


def _train_into(context: TrainingContext, target: Path, training: Training) -> TrainingReport:
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
