"""Stage: tune the embedding model on pairs, score it before and after, promote it if it won."""

import json
import time
from collections.abc import Callable, Sequence

from rag_app.disk import refuse_unwritable, write_whole
from rag_app.evaluate.canary import harm_on
from rag_app.evaluate.scoring import Outcome
from rag_app.finetune.card import write_card
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.rows import cut_passages
from rag_app.finetune.judge import judge, make_tuned
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import TrainedModel, plan_phases, train_phases
from rag_app.finetune.prepare import Prepared, prepare
from rag_app.finetune.presets import QUICK, as_quick
from rag_app.finetune.promotion import Lineage, promote
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.result import DataSummary, FinetuneResult
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.train.processes import send
from rag_app.index import Passages, Workspace
from rag_app.progress import Progress, announce, silent

# Of a run, as its headings count them.
STEPS = 4


def finetune(
    workspace: Workspace,
    request: FinetuneRequest,
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> FinetuneResult:
    """Prepare, train, judge; promote the tuned index if it won.

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
    plan_phases(request.options)
    refuse_unwritable(request.results, is_folder=True, make_parents=True)
    announce(context.progress, 1, STEPS, "reading and splitting the pairs")
    prepared = prepare(context, request)
    announce(context.progress, 2, STEPS, "training")
    trained = _train(context, request, prepared)
    announce(context.progress, 3, STEPS, "embedding the passages with the tuned model")
    tuned = make_tuned(context, prepared.base, trained.model)
    lineage = Lineage(prepared.source, prepared.base, tuned)
    lineage.bring_up_to_date(context)
    announce(context.progress, 4, STEPS, "scoring base and tuned on held-out questions")
    judgement = judge(context, prepared, tuned, seed=request.options.seed)
    base = prepared.base
    result = FinetuneResult(
        model=tuned.model.folder,
        base_model=base.model.name,
        index=tuned.index.name,
        base_index=base.index.name,
        promoted=request.promote
        and prepared.may_be_replaced
        and judgement.verdict.decision == "promote",
        data=_summary(prepared, trained.options),
        training=trained.report,
        options=trained.options,
        query_map_dropped=trained.query_map_dropped,
        judgement=judgement,
        titles=_titles(prepared.passages, judgement.comparison.tuned_outcomes),
        seconds=time.monotonic() - started,
        results=request.results / f"finetune-{tuned.model.name}",
    )
    _keep(result, request)
    if result.promoted:
        promote(context, lineage)
    return result


def _train(context: TrainingContext, request: FinetuneRequest, prepared: Prepared) -> TrainedModel:
    """Second step."""
    options, base = request.options, prepared.base.model
    if request.preset == QUICK:
        options = as_quick(options, prepared.material.rows, base)
    harms = harm_on(prepared.canary, base, cache=context.cache, seed=options.seed)
    return train_phases(context, base, prepared.material, options, harms=harms)


def _summary(prepared: Prepared, options: TrainingOptions) -> DataSummary:
    material = prepared.material
    split = material.split
    # An adapter's texts are embedded as ever.
    max_tokens = None if options.method == ADAPTER else options.max_tokens
    return DataSummary(
        split={"train": len(split.train), "dev": len(split.dev), "test": len(split.test)},
        training_pairs=len(material.rows),
        unmatched=material.unmatched,
        self_answering=material.self_answering,
        cut=cut_passages(material.rows, prepared.base.model, max_tokens),
    )


def _titles(passages: Passages, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Titles, or else first lines, of the passages that answer these questions."""
    right = {chunk for outcome in outcomes for chunks in outcome.gold for chunk in chunks}
    return {
        node.node_id: str(node.metadata.get("title") or node.text.strip().partition("\n")[0])
        for node in passages.nodes
        if node.node_id in right
    }


def _keep(result: FinetuneResult, request: FinetuneRequest) -> None:
    """Write outcomes, summary and model card."""
    result.judgement.comparison.write(result.results)
    write_whole(
        result.results / "finetune.json",
        json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n",
    )
    write_card(result, request)
