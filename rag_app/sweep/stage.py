"""Stage: chunk sizes, models and retrievers compared on one file of questions."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.disk import refuse_unwritable, whole_folder, write_whole
from rag_app.documents import Columns
from rag_app.duration import say_duration
from rag_app.errors import ConfigError, refuse_unknown
from rag_app.evaluate.comparison import scores_json
from rag_app.evaluate.evidence import AskedIndex, keep_evidence
from rag_app.evaluate.file_names import file_names, key_of
from rag_app.evaluate.scoring import METRICS, write_outcomes
from rag_app.evaluate.seen import seen_questions
from rag_app.evaluate.statistics import Estimate, estimate, summarise
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.finetune.context import TrainingContext
from rag_app.index import Workspace
from rag_app.llm.choose import LanguageModelOptions
from rag_app.pairs import Pair, Unmatched
from rag_app.progress import Progress, silent
from rag_app.retrieve import RetrievalOptions, Tools
from rag_app.retrieve.learned import kept_fusion
from rag_app.retrieve.views import put_to_use
from rag_app.sweep.bases import Bases, compare_bases
from rag_app.sweep.choice import Choice, choose
from rag_app.sweep.context import budget_metric
from rag_app.sweep.grid import Grid, Setting, settings_of
from rag_app.sweep.indexes import IndexBuilder
from rag_app.sweep.questions import asked, find_pairs, split_questions, unseen
from rag_app.sweep.scoring import Candidate, Scorer, all_on_dev, halving_on_dev
from rag_app.sweep.workload import SweepWorkload, sweep_workload

if TYPE_CHECKING:
    from rag_app.index import VectorIndex


@dataclass(frozen=True)
class SweepRequest:
    """What to compare.

    Fields:
        questions: labelled ones; None: those that `rag-app questions` wrote.
        index: whose documents, and the setting to beat; None: the one in service.
        budget_tokens: of context, for the comparison at equal cost.
        metric: what chooses; None: a hit within the budget if settings differ in how much they
            return, else mrr@10.
        halving: drop hopeless settings early.
        test_share: of the questions, for the report; the others choose.
        promote: put the index of a setting that won into service.
        tune: tune each model too, and judge it on the same questions; nothing goes into service.
        retrieval: the present one; its filter and numbers are the same for all.
        columns: of a table of questions.
        llm: whose written questions are looked for first.
        results: folder for what is measured.
    """

    grid: Grid = field(default_factory=Grid)
    questions: Path | None = None
    index: str | None = None
    budget_tokens: int = 1024
    metric: str | None = None
    halving: bool = False
    test_share: float = 0.5
    promote: bool = True
    tune: bool = False
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    columns: Columns = Columns()
    llm: LanguageModelOptions = LanguageModelOptions()
    seed: int = 13
    results: Path = Path("storage/results")

    def __post_init__(self) -> None:
        """Refuse what no sweep can be asked for.

        Raises:
            ConfigError: a share that leaves a part empty, or an unknown metric.
        """
        if not 0 < self.test_share < 1:
            raise ConfigError(
                f"--test-share is {self.test_share:g}; it takes a number between 0 and 1, since "
                "some questions choose and the others report"
            )
        if self.metric is not None:
            known = (*METRICS, budget_metric(self.budget_tokens))
            refuse_unknown("--metric", self.metric, known)


@dataclass(frozen=True)
class Row:
    """One setting on test: scores, cost, and what it changes.

    Fields:
        file_name: of the outcomes of its questions, in the folder of the results.
    """

    candidate: Candidate
    scores: dict[str, Estimate]
    file_name: str

    def to_json(self, choice: Choice, metric: str) -> dict[str, Any]:
        """What `--json` prints for a run."""
        one, setting = self.candidate, self.candidate.setting
        values = {
            "name": setting.name,
            "model": setting.model,
            "index": one.built.index.name,
            "chunk_size": setting.chunking.chunk_size,
            "chunk_overlap": setting.chunking.chunk_overlap,
            "retriever": setting.retrieval.spec,
            "chunks": len(one.built.passages.nodes),
            "megabytes": one.built.megabytes,
            "build_seconds": one.built.seconds,
            "milliseconds": one.milliseconds,
            "dev": one.mean(metric),
            "n": len(one.test or []),
            **scores_json(self.scores),
            "outcomes": self.file_name,
        }
        if setting.name in choice.changes:
            values["change"] = asdict(choice.changes[setting.name])
            values["p_holm"] = choice.adjusted[setting.name]
        return values


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Fields:
        rows: the present setting, then the others, best first on the questions that choose.
        split: questions by what they were for.
        unmatched, seen: questions left out: no answer in the index; a model, a reranker or the
            present weights learned from it.
        refits: model that was trained on all pairs -> the one that was judged before, whose scores
            stand for its own, since it knows all questions.
        before: the index that was in service.
        known_first: the present setting searches the known questions first; so does the one that
            is recommended, though all are scored on the answers alone.
        bases: models untuned and tuned; None unless that was asked for.
        learned: by the name of a setting with weights to be learned, what came of that.
    """

    before: str
    metric: str
    rows: list[Row]
    dropped: list[Candidate]
    choice: Choice
    split: dict[str, int]
    unmatched: Unmatched
    seen: int
    refits: dict[str, str]
    promoted: bool
    seconds: float
    results: Path
    known_first: bool = False
    bases: Bases | None = None
    learned: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        best = self.recommended
        return {
            "metric": self.metric,
            "split": self.split,
            "unmatched": self.unmatched.count,
            "unmatched_example": self.unmatched.example,
            "trained_on": self.seen,
            "refits": self.refits,
            "runs": [row.to_json(self.choice, self.metric) for row in self.rows],
            "dropped": [
                {"name": one.setting.name, "dev": one.mean(self.metric), "asked": len(one.dev)}
                for one in self.dropped
            ],
            "recommended": {
                "name": best.setting.name,
                "wins": self.choice.wins,
                "reason": self.choice.reason,
                "index": best.built.index.name,
                **self.settings,
            },
            "learned": dict(self.learned),
            "best_on_dev": self.choice.best.setting.name,
            "bases": self.bases.to_json() if self.bases else None,
            "promoted": self.promoted,
            "seconds": round(self.seconds, 2),
            "results": str(self.results),
        }

    @property
    def recommended(self) -> Candidate:
        """The setting that won; the present one if none did."""
        return self.choice.best if self.choice.wins else self.rows[0].candidate

    @property
    def settings(self) -> dict[str, str | int]:
        """The recommended setting by the names of a settings file."""
        best = self.recommended.setting
        return {
            "model": best.model,
            "chunk_size": best.chunking.chunk_size,
            "chunk_overlap": best.chunking.chunk_overlap,
            "retriever": self.retrieval.spec,
        }

    @property
    def retrieval(self) -> RetrievalOptions:
        """The recommended retriever, as it is asked in service."""
        best = self.recommended.setting.retrieval
        return replace(best, questions=self.known_first or best.questions)


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
    seen = seen_questions(pairs, models, [setting.retrieval for setting in every], tools)
    fresh = unseen(pairs, seen)
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
    dropped: list[Candidate] = []
    # Split sorts by question; the order of halving must not mean anything.
    dev = sorted(split.train, key=lambda pair: hashlib.sha256(pair.id.encode()).digest())
    if request.halving:
        candidates, dropped = halving_on_dev(
            scorer, every, dev, metric=metric, keep=1, seed=request.seed
        )
    else:
        candidates = all_on_dev(scorer, every, dev)
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
        dropped=dropped,
        choice=choice,
        split={"dev": asked(split.train), "test": asked(split.test)},
        unmatched=unmatched,
        seen=len(seen),
        refits={name: other for name, other in judged.items() if other != name},
        promoted=False,
        seconds=time.monotonic() - started,
        results=request.results / f"sweep-{_key(request, source, fresh)}",
        known_first=request.retrieval.of(source).questions,
        bases=bases,
        learned=scorer.learned,
    )
    _keep(result, promoted=None if promoting else False)
    if not promoting:
        return result
    best = choice.best.setting
    opened = builder.build(best.model, best.chunking)
    put_to_use(opened.index, result.retrieval, opened.model, workspace.cache, progress=progress)
    try:
        catalog.put_into_service(opened.index.name)
    finally:
        in_service = catalog.in_service() == opened.index.name
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


def _keep(result: SweepResult, *, promoted: bool | None) -> None:
    with whole_folder(result.results, hidden=True) as folder:
        for row in result.rows:
            write_outcomes(folder / row.file_name, row.candidate.test or [])
        _keep_evidence(result, folder)
        _write_summary(result, folder, promoted=promoted)


def _write_summary(result: SweepResult, folder: Path, *, promoted: bool | None) -> None:
    """Write what `--json` prints; `promoted` is None while the switch is to come."""
    values = {**result.to_json(), "promoted": promoted}
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / "sweep.json", text)


def _keep_evidence(result: SweepResult, folder: Path) -> None:
    """What a report shows of the present setting and the best: those that it compares."""
    present, best = result.rows[0].candidate, result.choice.best
    indexes = [
        AskedIndex(built.index.name, built.model, built.index.info.chunking, built.passages.nodes)
        for built in (present.built, best.built)
    ]
    keep_evidence(folder, indexes, best.test or [], others=present.test or [])
