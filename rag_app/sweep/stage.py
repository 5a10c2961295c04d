"""Stage: chunk sizes, models and retrievers compared on one file of questions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.disk import refuse_unwritable, whole_folder, write_json
from rag_app.duration import say_duration
from rag_app.errors import ConfigError
from rag_app.evaluate.chosen_by import ChosenBy
from rag_app.evaluate.evidence import AskedIndex, keep_evidence
from rag_app.evaluate.file_names import file_names, key_of
from rag_app.evaluate.scoring import write_outcomes
from rag_app.evaluate.statistics import estimate, summarise
from rag_app.evaluate.stored import summary_of
from rag_app.evaluate.trained_on import questions_trained_on
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.finetune.context import TrainingContext
from rag_app.index import Workspace
from rag_app.llm.choose import LanguageModelOptions
from rag_app.pairs import Pair, question_id
from rag_app.progress import Progress, silent
from rag_app.retrieve import Tools
from rag_app.retrieve.learned import kept_fusion
from rag_app.retrieve.views import put_to_use
from rag_app.sweep.bases import compare_bases
from rag_app.sweep.choice import Choice, choose
from rag_app.sweep.context import budget_metric
from rag_app.sweep.grid import Setting, settings_of
from rag_app.sweep.indexes import IndexBuilder
from rag_app.sweep.questions import asked, find_pairs, not_trained_on, split_questions
from rag_app.sweep.request import SweepRequest
from rag_app.sweep.result import Row, SweepResult
from rag_app.sweep.scoring import Candidate, Scorer
from rag_app.sweep.workload import SweepWorkload, sweep_workload

if TYPE_CHECKING:
    from rag_app.index import VectorIndex


def sweep(
    workspace: Workspace,
    request: SweepRequest,
    *,
    tools: Tools,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
    announce: Callable[[SweepWorkload], None] = lambda _: None,
) -> SweepResult:
    """Build what is missing, choose on one part of the questions, report on the other.

    Questions about documents that one of the models or rerankers was trained on are left out for
    all, and so are those that taught the weights of the present setting.

    Arguments:
        tell: called with a sentence for the user.
        announce: called with what it will take before anything is made; what it raises ends the
            sweep.
    Raises:
        ConfigError: a grid that cannot be tried.
        DocumentError: a document of the index is gone.
        PairsError: too few questions.
    """
    started = time.monotonic()
    refuse_unwritable(request.results, is_folder=True, make_parents=True)
    catalog = workspace.catalog
    source = catalog.open(request.index)
    every = _settings(workspace, request, source)
    _check_labels(every)
    builder = IndexBuilder(workspace, source, columns=request.columns, progress=progress)
    source.check_model(builder.model(source.info.model))
    if changed := builder.changed:
        tell(_changed_since(source.name, changed))
    work = sweep_workload(builder, every, workspace.cache)
    say_duration(progress, str(work), work.seconds)
    announce(work)
    judged = {setting.model: builder.judged(setting.model) for setting in every}
    here = builder.build(judged[every[0].model], every[0].chunking)
    pairs, unmatched = find_pairs(
        request.questions,
        here,
        storage=workspace.storage,
        llm=request.llm,
        columns=request.columns,
    )
    models = [builder.model(name) for name in judged.values()]
    retrievals = [setting.retrieval for setting in every]
    trained_on = questions_trained_on(pairs, models, retrievals, tools)
    fresh = not_trained_on(pairs, trained_on)
    split = split_questions(fresh, here, seed=request.seed, test_share=request.test_share)
    metric = request.metric or _metric(every, request.budget_tokens)
    scorer = Scorer(
        builder,
        split.clusters,
        tools=tools,
        cache=workspace.cache,
        budget_tokens=request.budget_tokens,
        counting=here.model,
        progress=progress,
        seed=request.seed,
    )
    candidates = [scorer.on_dev(setting, split.train) for setting in every]
    candidates = [scorer.on_test(one, split.test) for one in _each_once(candidates)]
    choice = choose(candidates, candidates[0], metric=metric, seed=request.seed)
    bases = None
    if request.tune:
        context = TrainingContext(workspace, progress, tell)
        bases = compare_bases(
            context, builder, scorer, candidates, split, metric=metric, seed=request.seed
        )
    promoting = request.promote and not request.tune and choice.wins
    present, *others = candidates
    others.sort(key=lambda one: -one.mean(metric))
    extra = budget_metric(request.budget_tokens)
    result = SweepResult(
        before=catalog.active.current() or source.name,
        metric=metric,
        rows=_rows([present, *others], extra, request.seed),
        choice=choice,
        split={"dev": asked(split.train), "test": asked(split.test)},
        unmatched=unmatched,
        trained_on=len(trained_on),
        refits={name: other for name, other in judged.items() if other != name},
        promoted=False,
        seconds=time.monotonic() - started,
        results=request.results / f"sweep-{_key(request, source, fresh)}",
        known_first=request.retrieval.of(source).questions,
        bases=bases,
        learned=scorer.learned,
    )
    chosen = _chosen_by(candidates, choice, split.train)
    _keep(result, chosen, promoted=None if promoting else False)
    return _put_into_service(workspace, builder, result, progress) if promoting else result


def _put_into_service(
    workspace: Workspace, builder: IndexBuilder, result: SweepResult, progress: Progress
) -> SweepResult:
    """Put the best setting's index into service, with its retriever; says whether it is."""
    best = result.choice.best.setting
    opened = builder.build(best.model, best.chunking)
    put_to_use(opened.index, result.retrieval, opened.model, workspace.cache, progress=progress)
    try:
        workspace.catalog.put_into_service(opened.index.name)
    finally:
        in_service = workspace.catalog.in_service() == opened.index.name
        result = replace(result, promoted=in_service)
        _write_summary(result, result.results, promoted=in_service)
    return result


def _changed_since(index: str, documents: Sequence[str]) -> str:
    others = f" and {len(documents) - 1} more" if len(documents) > 1 else ""
    return (
        f"{documents[0]}{others} changed since index {index!r} was brought up to date: all "
        "settings are compared on the files as they are now, the present one in an index of its "
        "own; `rag-app ingest` on their folder brings the index itself up to date"
    )


def _settings(
    workspace: "Workspace", request: SweepRequest, source: "VectorIndex"
) -> list[Setting]:
    """All settings, the present one first."""
    # Known questions come first whatever ranks the rest, which is what settings differ in.
    own = replace(request.retrieval.of(source), questions=False)
    kept = kept_fusion(source) if own.to_be_learned else None
    now = replace(own, learned=kept)
    present = Setting(source.info.model, source.info.chunking, now, kept=kept is not None)
    named = tuple(map(workspace.model_named, request.grid.models))
    grid = replace(request.grid, models=named or (source.info.model,))
    others = [
        replace(each, retrieval=each.retrieval.of(source))
        for each in settings_of(grid, own, sentences=source.info.sentences)
    ]
    return list(dict.fromkeys([present, *others]))


def _check_labels(settings: Sequence[Setting]) -> None:
    """Refuse models that a table could not tell apart."""
    models: dict[str, str] = {}
    for setting in settings:
        other = models.setdefault(setting.model_label, setting.model)
        if other != setting.model:
            raise ConfigError(
                f"{other} and {setting.model} are both called {setting.model_label}; leave one "
                "out with --model, or rename its folder"
            )


def _metric(settings: Sequence[Setting], budget_tokens: int) -> str:
    """Equal k is unfair to small pieces, which cost less to read."""
    costs = {(setting.chunking, setting.retrieval.context) for setting in settings}
    return budget_metric(budget_tokens) if len(costs) > 1 else PRIMARY_METRIC


def _rows(candidates: Sequence[Candidate], extra: str, seed: int) -> list[Row]:
    names = file_names([one.setting.name for one in candidates])
    return [
        Row(
            one,
            {
                **summarise(one.test or [], seed=seed),
                extra: estimate(one.test or [], extra, seed=seed),
            },
            f"{name}.jsonl",
        )
        for name, one in zip(names, candidates, strict=True)
    ]


def _key(request: SweepRequest, source: "VectorIndex", pairs: Sequence[Pair]) -> str:
    """Of what is measured; whether the winner goes into service changes nothing there."""
    asked = replace(
        request, questions=None, promote=True, llm=LanguageModelOptions(), results=Path()
    )
    return key_of(asked, source.name, sorted(pair.id for pair in pairs))


def _each_once(candidates: Sequence[Candidate]) -> list[Candidate]:
    """A tuned weight may turn out to be one that was named as well."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.setting.name, candidate)
    return list(first.values())


def _chosen_by(
    candidates: Sequence[Candidate], choice: Choice, dev: Sequence[Pair]
) -> ChosenBy | None:
    """What the dev questions chose; None where that is the present setting."""
    best = choice.best.setting
    if choice.best is candidates[0]:
        return None
    several = len({one.setting.retrieval for one in candidates}) > 1
    sizes = {one.setting.chunking.chunk_size for one in candidates}
    return ChosenBy(
        best.retrieval.spec if several else None,
        best.chunking.chunk_size if len(sizes) > 1 else None,
        sorted({question_id(pair.question) for pair in dev}),
    )


def _keep(result: SweepResult, chosen: ChosenBy | None, *, promoted: bool | None) -> None:
    with whole_folder(result.results, hidden=True) as folder:
        for row in result.rows:
            write_outcomes(folder / row.file_name, row.candidate.test or [])
        if chosen:
            chosen.keep(folder)
        _keep_evidence(result, folder)
        _write_summary(result, folder, promoted=promoted)


def _write_summary(result: SweepResult, folder: Path, *, promoted: bool | None) -> None:
    """Write what `--json` prints; `promoted` is None while the switch is to come."""
    write_json(summary_of(folder, "sweep"), {**result.to_json(), "promoted": promoted})


def _keep_evidence(result: SweepResult, folder: Path) -> None:
    """What a report shows of the present setting and the best: those that it compares."""
    present, best = result.rows[0].candidate, result.choice.best
    indexes = [
        AskedIndex.of(built.index, built.model, built.passages.nodes)
        for built in (present.built, best.built)
    ]
    keep_evidence(folder, indexes, best.test or [], others=present.test or [])
