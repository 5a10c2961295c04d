"""Stage: tune the embedding model on pairs, score it before and after, promote it if it won."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rag_app.disk import refuse_unwritable, whole_folder, write_json
from rag_app.errors import ConfigError
from rag_app.evaluate.comparison import ann_recall, exact_outcomes
from rag_app.evaluate.evidence import AskedIndex
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.stored import summary_of
from rag_app.finetune.card import write_card
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.curves import (
    Within,
    check_tracker,
    open_curves,
    run_name,
    scores_of,
    summarise_held_out,
)
from rag_app.finetune.data.rows import cut_passages
from rag_app.finetune.judge import judge, keep_held_out
from rag_app.finetune.phases import plan_phases
from rag_app.finetune.prepare import Prepared, prepare
from rag_app.finetune.promotion import Lineage, make_tuned, promote
from rag_app.finetune.refit import refit
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.result import DataSummary, FinetuneResult
from rag_app.finetune.retrieval import check_retrieval, refuse_trained_on
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.train.processes import send
from rag_app.finetune.trial import Trial, embedded, score_trial, train_one
from rag_app.index import Passages, VectorIndex, Workspace
from rag_app.models import EmbeddingModel
from rag_app.pairs import Pair, remember_pairs
from rag_app.progress import Progress, announce, silent
from rag_app.retrieve import RetrievalOptions
from rag_app.retrieve.views import put_to_use

# Of a run, as its headings count them.
STEPS = 4


def finetune(
    workspace: Workspace,
    request: FinetuneRequest,
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> FinetuneResult:
    """Prepare, train, judge; train on all pairs, and promote that index, if it won.

    The base is the model that the index's model was tuned from, if it was tuned: running the same
    command again gives the same result, not a tuning of the tuned. A run that was killed goes on.
    Pairs that bring their own passages are tuned on over an index of those, unless an index was
    named or the one in service holds them; it goes into service if nothing is.
    Under torchrun only the leading process may call this; the others call `run.follow`.

    Arguments:
        tell: called with a sentence about an index that is made for the pairs.
    Raises:
        PairsError, LeakError: the pairs cannot be used.
        IndexMissing, ModelError, TrainingError: as their names say.
    """
    try:
        return _finetune(TrainingContext(workspace, progress, tell), request)
    finally:
        send(None)


def _finetune(context: TrainingContext, request: FinetuneRequest) -> FinetuneResult:
    started = time.monotonic()
    _check(request)
    announce(context.progress, 1, STEPS, "reading and splitting the pairs")
    prepared = prepare(context, request)
    refuse_trained_on(context, request.retrieval, [one.split for one in prepared.materials])
    name = run_name("finetune", prepared.base.model, prepared.materials[0].rows)
    with open_curves(request.report_to, context.curves_folder, name) as curves:
        result = _tune(replace(context, curves=curves), request, prepared, started)
        summarise_held_out(curves, result.judgement.held_out)
        curves.summarise(scores_of(result.judgement.training_scores, "on_training_questions"))
    return result


def _tune(
    context: TrainingContext, request: FinetuneRequest, prepared: Prepared, started: float
) -> FinetuneResult:
    """Train, judge, train again on all pairs and promote, if it won.

    Arguments:
        started: when the tuning began, by `time.monotonic`.
    """
    trials = _try_out(context, request, prepared)
    judgement = judge(
        trials,
        seed=request.options.seed,
        canary_skipped=prepared.canary_skipped,
        canary_guards=prepared.canary_guards,
    )
    won = judgement.verdict.decision == "promote"
    promoting = won and request.promote and prepared.may_be_replaced
    refitted = None
    if request.split.folds or (promoting and request.refit):
        announce(context.progress, 4, STEPS, "training on all pairs as it was judged")
        batch_size = request.options.batch_size
        refitted = refit(context, prepared, trials, batch_size=batch_size)
        # Of folds there is no judged model that could take its place.
        promoting = promoting and not (request.split.folds and refitted.refused)
    taken = refitted.trained if refitted and not refitted.refused else trials[0].trained
    announce(context.progress, 4, STEPS, "indexing with the tuned model")
    lineage = Lineage(
        prepared.source, prepared.base, make_tuned(context, prepared.base, taken.model)
    )
    lineage.bring_up_to_date(context)
    result = FinetuneResult(
        model=taken.model.folder,
        base_model=prepared.base.model.name,
        index=lineage.tuned.index.name,
        base_index=prepared.base.index.name,
        promoted=False,
        data=_summary(prepared, trials),
        training=trials[0].trained.report,
        options=trials[0].trained.options,
        frontier=next((trial.frontier for trial in trials if trial.frontier), []),
        weakened=sum(bool(trial.frontier) for trial in trials),
        canary_options=request.canary,
        judgement=judgement,
        refit=refitted,
        judged=trials[0].judged,
        ann_recall=ann_recall(
            lineage.tuned.index, taken.model, _answered(context, prepared, taken.model)
        ),
        titles=_titles(prepared.passages, judgement.comparison.tuned_outcomes),
        seconds=time.monotonic() - started,
        results=prepared.results(request, taken.model.name),
    )
    nodes = prepared.passages.nodes
    asked = [AskedIndex.of(one.index, one.model, nodes) for one in (prepared.base, lineage.tuned)]
    _keep(result, request, asked, None if promoting else False)
    if not promoting:
        return result
    retrieval = replace(trials[0].judged.options, questions=judgement.serves_known)
    result = _put_into_service(context, lineage, retrieval, result)
    if request.pairs is not None:
        _remember_questions(lineage.tuned.index, trials)
    return result


def _put_into_service(
    context: TrainingContext, lineage: Lineage, retrieval: RetrievalOptions, result: FinetuneResult
) -> FinetuneResult:
    """Promote the tuned index, with the retriever that it was judged with; says whether it is."""
    tuned = lineage.tuned
    put_to_use(tuned.index, retrieval, tuned.model, context.cache, progress=context.progress)
    try:
        promote(context, lineage)
    finally:
        in_service = context.workspace.catalog.in_service() == tuned.index.name
        result = replace(result, promoted=in_service)
        _write_summary(result, result.results, promoted=in_service)
    return result


def _remember_questions(index: VectorIndex, trials: Sequence[Trial]) -> None:
    """Make the labelled questions known ones of the index in service.

    All but those of a test file: in evaluation a question is not among the known ones while it is
    asked.
    """
    pairs = {pair.id: pair for trial in trials for pair in trial.material.split.given}
    remember_pairs(index, pairs.values())


def _check(request: FinetuneRequest) -> None:
    """Refuse what could not end well before anything is read."""
    check_tracker(request.report_to)
    plan_phases(request.options)
    check_retrieval(request.retrieval)
    if request.split.folds and not request.refit:
        raise ConfigError(
            "--folds judges a recipe by several models, and only its refit on all pairs can be "
            "used; leave out --no-refit"
        )
    refuse_unwritable(request.results, is_folder=True, make_parents=True)


def _try_out(context: TrainingContext, request: FinetuneRequest, prepared: Prepared) -> list[Trial]:
    """Train and score on each split."""
    trials = []
    whole = context.curves
    for number, material in enumerate(prepared.materials, 1):
        folds = len(prepared.materials)
        fold = f", fold {number} of {folds}" if folds > 1 else ""
        if folds > 1:
            context = replace(context, curves=Within(whole, f"fold-{number}"))
        announce(context.progress, 2, STEPS, f"training{fold}")
        trained, frontier = train_one(context, request, prepared, material)
        announce(context.progress, 3, STEPS, f"scoring base and tuned on held-out questions{fold}")
        trial = score_trial(
            context,
            prepared,
            material,
            trained,
            retrieval=request.retrieval,
            remembers=request.pairs is not None,
        )
        trials.append(replace(trial, frontier=frontier))
    return trials


def _answered(context: TrainingContext, prepared: Prepared, model: EmbeddingModel) -> list[Outcome]:
    """Test questions by exact search with the model that was indexed."""
    passages = embedded(context, prepared.passages, model)
    return exact_outcomes(passages, model, prepared.materials[0].test, cache=context.cache)


def _summary(prepared: Prepared, trials: Sequence[Trial]) -> DataSummary:
    first = trials[0]
    material, options = first.material, first.trained.options
    split = material.split
    # An adapter's texts are embedded as ever.
    max_tokens = None if options.method == ADAPTER else options.max_tokens
    return DataSummary(
        split={
            "train": len(split.train),
            "dev": len(split.dev),
            "test": _how_many(trial.material.split.test for trial in trials),
            "known": _how_many(trial.material.split.known for trial in trials),
        },
        folds=len(trials),
        test_is_given=split.test_is_given,
        repeat_test=split.repeat_test,
        training_pairs=len(material.rows),
        unmatched=material.unmatched,
        self_answering=material.self_answering,
        cut=cut_passages(material.rows, prepared.base.model, max_tokens),
    )


def _how_many(pairs: Iterable[Sequence[Pair]]) -> int:
    """How many pairs, each counted once however many splits hold it out."""
    return len({pair.id for each in pairs for pair in each})


def _titles(passages: Passages, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Titles, or else first lines, of the passages that answer these questions."""
    right = {chunk for outcome in outcomes for chunks in outcome.gold for chunk in chunks}
    return {
        node.node_id: str(node.metadata.get("title") or node.text.strip().partition("\n")[0])
        for node in passages.nodes
        if node.node_id in right
    }


def _keep(
    result: FinetuneResult,
    request: FinetuneRequest,
    indexes: Sequence[AskedIndex],
    promoted: bool | None,
) -> None:
    """Write outcomes, what a report shows of them, summary and model card."""
    with whole_folder(result.results, hidden=True) as folder:
        keep_held_out(folder, result.judgement.held_out, indexes)
        _write_summary(result, folder, promoted=promoted)
    write_card(result, request)


def _write_summary(result: FinetuneResult, folder: Path, *, promoted: bool | None) -> None:
    """Write what `--json` prints.

    Arguments:
        promoted: None while the switch to the tuned index is to come: a run that is killed
            meanwhile says neither.
    """
    write_json(summary_of(folder, "finetune"), {**result.to_json(), "promoted": promoted})
