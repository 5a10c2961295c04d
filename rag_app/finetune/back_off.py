"""Weakening what harms out-of-domain questions, to the strongest form that does not.

First goes the query adapter, then ever more of the tuned weights: their averages with the base's
win back more out of domain than they give up in domain (Wortsman et al. 2022, "Robust fine-tuning
of zero-shot models", arXiv 2109.01903). Each average is tried with an adapter made for it, and
without. Out-of-domain questions choose, never test questions.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rag_app.disk import whole_folder
from rag_app.evaluate.statistics import Difference
from rag_app.evaluate.verdict import PRIMARY_METRIC, certainly_fell
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.dev import DevSet, certainly_fell_on_dev, dev_reciprocal_ranks
from rag_app.finetune.data.material import Material
from rag_app.finetune.options import REPORT_FILE, read_report, write_report
from rag_app.finetune.phase import BLEND, folder_name
from rag_app.finetune.phases import TrainedModel, with_map
from rag_app.finetune.train.blend import set_blend
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.training_lock import training_lock
from rag_app.models import EmbeddingModel
from rag_app.models.embedding import load_transformer
from rag_app.pairs import training_documents, write_training_documents

# Of the tuned weights, from strong to mild; those below what was trained are tried.
SHARES = (0.5, 0.35, 0.25)
AS_TRAINED = "as trained"
NO_MAP = "no query adapter"

# What a model changes on out-of-domain questions against its base, by metric.
ChangesOf = Callable[[EmbeddingModel], Mapping[str, Difference]]


@dataclass(frozen=True)
class Candidate:
    """A form of the tuned model: what it brings on dev questions and costs on out-of-domain ones.

    Fields:
        dev_mrr, dev_gain: MRR@10 on dev and how much higher it is than the base's; None without dev
            questions.
        dev_fell: it is certainly lower than the base's.
        canary: change of MRR@10 on out-of-domain questions.
        harms: it certainly fell there.
    """

    name: str
    dev_mrr: float | None
    dev_gain: float | None
    dev_fell: bool
    canary: Difference
    harms: bool
    chosen: bool = False


def back_off(
    context: TrainingContext,
    base: EmbeddingModel,
    trained: TrainedModel,
    *,
    material: Material,
    changes_of: ChangesOf,
) -> tuple[TrainedModel, list[Candidate]]:
    """The strongest form that does no certain harm, and those that were tried, strongest first.

    Where what was trained does none, nothing is tried. Where all do, what was trained is returned.

    Raises:
        TrainingError: another process is making the same form.
    """
    tried: list[Candidate] = []
    for name, form in _strong_to_mild(context, base, trained, material):
        context.progress(f"out-of-domain questions: {name}", 0, 0)
        changes = changes_of(form.model)
        if not tried and not certainly_fell(changes):
            return trained, []
        seed = trained.options.seed
        candidate = _measure(
            context, name, (base, form.model), material.dev, changes=changes, seed=seed
        )
        if not candidate.harms:
            report = replace(form.report, saved_dev_mrr=candidate.dev_mrr)
            return replace(form, report=report), [*tried, replace(candidate, chosen=True)]
        tried.append(candidate)
        form.model.unload()
    return trained, [replace(tried[0], chosen=True), *tried[1:]]


def _strong_to_mild(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel, material: Material
) -> Iterator[tuple[str, TrainedModel]]:
    """Each form by its name, made when it is asked for; an adapter alone has no milder one."""
    yield AS_TRAINED, trained
    weights = trained.without_map or trained
    if trained.without_map:
        yield NO_MAP, weights
    if weights.options.method != ADAPTER:
        for share in SHARES:
            if share < weights.options.blend:
                milder = blended(context, base, weights, share)
                if trained.without_map:
                    yield f"blend {share:g}", with_map(context, base, material, milder)
                    yield f"blend {share:g}, {NO_MAP}", milder
                else:
                    yield f"blend {share:g}", milder


def _measure(
    context: TrainingContext,
    name: str,
    models: tuple[EmbeddingModel, EmbeddingModel],
    dev: DevSet | None,
    *,
    changes: Mapping[str, Difference],
    seed: int,
) -> Candidate:
    """One form against the base.

    Arguments:
        models: the base, and the form.
        changes: of the form on out-of-domain questions.
    """
    mrr = gain = None
    fell = False
    if dev is not None:
        before, after = (dev_reciprocal_ranks(model, dev, context.cache) for model in models)
        mrr, gain = float(after.mean()), float((after - before).mean())
        fell = certainly_fell_on_dev(dev, before, after, seed=seed)
    harms = certainly_fell(changes)
    return Candidate(name, mrr, gain, fell, canary=changes[PRIMARY_METRIC], harms=harms)


def blended(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel, share: float
) -> TrainedModel:
    """What training would have saved with a smaller `blend`, in a folder of its own.

    What was saved lies between the base and the tuned weights, so that all smaller shares do too.
    After several phases it is the share of what all of them changed. A folder that is there is
    taken.

    Arguments:
        trained: weights without a query adapter.
        share: of the tuned weights, below that in `trained.options`.
    """
    model = trained.model
    made_of = f"{base.fingerprint} {model.fingerprint} {share}"
    key = hashlib.sha256(made_of.encode()).hexdigest()[:8]
    target = context.models / folder_name(base.name, BLEND, key)
    if not (target / REPORT_FILE).is_file():
        with training_lock(context.models, f".{target.name}"):
            _save_blend(context, base, trained, share, target)
    write_training_documents(target, training_documents(model))
    saved = EmbeddingModel(target.name, target, device=context.device)
    return replace(
        trained,
        model=saved,
        report=read_report(target),
        options=replace(trained.options, blend=share),
    )


def _save_blend(
    context: TrainingContext,
    base: EmbeddingModel,
    trained: TrainedModel,
    share: float,
    target: Path,
) -> None:
    model = load_transformer(trained.model.folder, context.device)
    weights = dict(model.named_parameters())
    before = dict(base.transformer.named_parameters())
    set_blend(weights, before, weights, share / trained.options.blend)
    with whole_folder(target) as folder:
        model.save_pretrained(str(folder), create_model_card=False)
        write_report(replace(trained.report, blend=share, saved_dev_mrr=None), folder)
