"""What is trained in turn: methods, losses, and rounds with hard negatives chosen anew."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import TrainingError
from rag_app.finetune.data.material import Material
from rag_app.finetune.data.negatives import (
    NegativeOptions,
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
from rag_app.finetune.train.engine import EmbeddingFinetuneEngine
from rag_app.finetune.train.losses import LOSSES, find_loss
from rag_app.finetune.train.methods import ADAPTER, find_method
from rag_app.finetune.training_lock import training_lock
from rag_app.models import EmbeddingModel
from rag_app.pairs import keep_seen, seen_documents
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.index import VectorCache

ADAPTER_LOSS = "mnrl"

# Whether a model is certainly worse than its base on questions from elsewhere.
Harms = Callable[[EmbeddingModel], bool]


@dataclass(frozen=True)
class Workshop:
    """Where training happens.

    Fields:
        models: folder that models are written to.
        cache: vectors that are known already.
    """

    models: Path
    cache: "VectorCache"
    device: str
    progress: Progress = silent


@dataclass(frozen=True)
class Phase:
    """One training: a method, a loss, and how often hard negatives were chosen before."""

    method: str
    loss: str
    round: int = 0


def plan_phases(options: TrainingOptions, negatives: NegativeOptions) -> list[Phase]:
    """The trainings that options ask for, in order: each method with each loss, the adapter last.

    Raises:
        TrainingError: an unknown loss or method, or settings that do not go together.
    """
    losses = {name: find_loss(name) for name in _names(options.loss)}
    methods = _names(options.method)
    of_weights = [method for method in methods if method != ADAPTER]
    if not of_weights:
        _check_adapter_alone(options, negatives)
    if ADAPTER in methods[:-1]:
        raise TrainingError(
            f"--method is {options.method!r}; {ADAPTER} comes last, since the map is made for the "
            f"weights: {','.join([*of_weights, ADAPTER])}"
        )
    phases = []
    for method in of_weights:
        for name, loss in losses.items():
            find_method(method, loss=name)
            again = negatives.kind == "mined" and loss.trains_on == "pairs"
            phases += [
                Phase(method, name, number) for number in range(negatives.rounds if again else 1)
            ]
    return phases + [Phase(ADAPTER, ADAPTER_LOSS)] * (ADAPTER in methods)


def _check_adapter_alone(options: TrainingOptions, negatives: NegativeOptions) -> None:
    if options.loss != ADAPTER_LOSS:
        raise TrainingError(
            f"--method {ADAPTER} trains with --loss {ADAPTER_LOSS}, not with {options.loss}"
        )
    if negatives.kind != "none":
        raise TrainingError(
            f"--method {ADAPTER} takes no --negatives besides those of the batch; leave them out, "
            "or use --method full"
        )


def train_phases(
    base: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
    negatives: NegativeOptions,
    shop: Workshop,
    *,
    harms: Harms = lambda _: False,
) -> tuple[EmbeddingModel, TrainingReport]:
    """Train phase after phase, each from what the one before it left.

    Each is kept under a name of what it was made from, so that a run that was killed, or another
    that begins alike, takes up what is there.

    Without dev questions nothing tells how far a map should go: weights are then given none. Nor
    are they where only the map does harm.

    Returns:
        the last model, and one report of all phases.
    Raises:
        TrainingError: another process is training the same.
    """
    key = training_key(base.fingerprint, material.rows, _texts(material), options)
    asked = hashlib.sha256(f"{key}{negatives}".encode()).hexdigest()[:8]
    with training_lock(shop.models, f".training-{asked}"):
        return _train_phases(base, material, options, negatives, shop, harms)


def _train_phases(
    base: EmbeddingModel,
    material: Material,
    options: TrainingOptions,
    negatives: NegativeOptions,
    shop: Workshop,
    harms: Harms,
) -> tuple[EmbeddingModel, TrainingReport]:
    model = base
    reports: list[TrainingReport] = []
    map_did_harm = False
    for phase in plan_phases(options, negatives):
        adapter = phase.method == ADAPTER
        if adapter and reports and material.dev is None:
            continue
        rows = _rows(phase, model, material, negatives, options, shop)
        scale = options.scale or round(1 / base.temperature)
        chosen = replace(
            options,
            method=phase.method,
            loss=phase.loss,
            scale=scale,
            # What says nothing to weights must not train them anew.
            whitening=options.whitening if adapter else None,
        )
        tuned, report = _train_one(model, rows, material, chosen, shop)
        map_did_harm = adapter and bool(reports) and harms(tuned) and not harms(model)
        if not map_did_harm:
            model = tuned
            reports.append(report)
    return model, replace(_together(reports), map_did_harm=map_did_harm)


def _together(reports: Sequence[TrainingReport]) -> TrainingReport:
    """The report of the last weights, or else of the map; seconds and peak are of all."""
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


def _rows(
    phase: Phase,
    model: EmbeddingModel,
    material: Material,
    negatives: NegativeOptions,
    options: TrainingOptions,
    shop: Workshop,
) -> Sequence[TrainingRow]:
    if phase.method == ADAPTER:
        return material.rows
    loss = find_loss(phase.loss)
    if loss.trains_on == "passages":
        return [TrainingRow("", text, text) for text in material.pool.texts]
    seed = options.seed + phase.round
    rows, clusters, pool = material.rows, material.row_clusters, material.pool
    if negatives.kind == "mined":
        rows = mined_negatives(
            rows,
            clusters,
            pool,
            negatives.per_pair,
            questions=shop.cache.embed_queries(model, [row.question for row in rows]),
            positives=shop.cache.embed_passages(model, [row.passage for row in rows]),
            passages=shop.cache.embed_passages(model, pool.texts, progress=shop.progress),
            seed=seed,
        )
    elif negatives.kind == "random" or loss.needs_negatives:
        rows = random_negatives(rows, clusters, pool, negatives.per_pair, seed=seed)
    return rows if loss.needs_negatives else as_many_each(rows)


def _train_one(
    base: EmbeddingModel,
    rows: Sequence[TrainingRow],
    material: Material,
    options: TrainingOptions,
    shop: Workshop,
) -> tuple[EmbeddingModel, TrainingReport]:
    key = training_key(base.fingerprint, rows, _texts(material), options)
    kind = ADAPTER if options.method == ADAPTER else options.loss
    target = shop.models / f"{_short(base.name)}-{kind}-{key}"
    if (target / REPORT_FILE).is_file():
        report = read_report(target)
    else:
        # Another command may begin with the same phase.
        with training_lock(shop.models, f".{target.name}"):
            report = _train_into(target, base, rows, material, options, shop)
    # Also of what was trained before: it may have been killed before this line.
    keep_seen(target, {*material.seen_documents, *seen_documents(base.folder)})
    return EmbeddingModel(target.name, target, device=shop.device), report


def _texts(material: Material) -> list[str]:
    return [*material.dev.questions, *material.dev.passages] if material.dev else []


def _train_into(
    target: Path,
    base: EmbeddingModel,
    rows: Sequence[TrainingRow],
    material: Material,
    options: TrainingOptions,
    shop: Workshop,
) -> TrainingReport:
    if options.method == ADAPTER:
        return train_adapter(
            base,
            rows,
            pool=material.pool.texts,
            dev=material.dev,
            target=target,
            options=options,
            cache=shop.cache,
            progress=shop.progress,
        )
    engine = EmbeddingFinetuneEngine(
        base,
        rows,
        dev=material.dev,
        target=target,
        options=options,
        device=shop.device,
        progress=shop.progress,
    )
    engine.finetune()
    return engine.finished_report()


def _short(name: str) -> str:
    """The last part of a model's name, without what earlier phases added to it."""
    last = name.rsplit("/", 1)[-1]
    plain = re.sub(rf"(-({'|'.join([*LOSSES, ADAPTER])})-[0-9a-f]{{8}})+$", "", last)
    return re.sub(r"[^a-zA-Z0-9]+", "-", plain).strip("-").lower()
