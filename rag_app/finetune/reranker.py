"""Stage: tune a cross-encoder on the same pairs, and say whether reading candidates again helps.

The embedding model stays as it is. Nothing goes into service: who wants the reranker names it, as
`--retriever vector+rerank:NAME`, and pays its milliseconds with every question.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rag_app.disk import refuse_unwritable, whole_folder, write_json
from rag_app.duration import foretold
from rag_app.errors import ConfigError
from rag_app.evaluate.canary import CanaryOptions
from rag_app.evaluate.comparison import Comparison, compare_outcomes, exact_outcomes
from rag_app.evaluate.evidence import AskedIndex
from rag_app.evaluate.scoring import KEPT_RANKS, LARGEST_K, score_questions
from rag_app.evaluate.stored import summary_of
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.curves import check_tracker, open_curves, run_name, summarise_held_out
from rag_app.finetune.judge import judge_held_out, keep_held_out, name_uncertain_parts
from rag_app.finetune.options import TrainingReport, training_key
from rag_app.finetune.phase import TIMED_STEPS, folder_name, mined_rows
from rag_app.finetune.prepare import Prepared, prepare
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.reranker_result import RerankerResult
from rag_app.finetune.retrieval import retriever_in_memory
from rag_app.finetune.train.cross_encoder import DevCandidates, train_cross_encoder
from rag_app.finetune.training_lock import training_lock
from rag_app.finetune.trial import BaseAndTuned
from rag_app.index import Workspace
from rag_app.models.cross_encoder import scores_pairs
from rag_app.models.weights import find_weights
from rag_app.pairs import HeldOut, training_documents, write_training_documents
from rag_app.progress import Progress, announce, silent
from rag_app.retrieve import RetrievalOptions
from rag_app.text.counts import counted
from rag_app.vectors import nearest

STEPS = 3
LEAST_CANDIDATES = LARGEST_K
KIND = "reranker"


@dataclass(frozen=True)
class RerankerOptions:
    """What is tuned, and what it will read.

    Fields:
        base: model to start from, by name or folder; None: the index's own weights.
        candidates: passages that vector search finds for a question and the reranker reads.
    """

    base: str | None = None
    candidates: int = 20


@dataclass(frozen=True)
class Weights:
    """A model by its name and its folder."""

    name: str
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Hash of the weights, 16 hex digits."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*.safetensors")):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]


def tune_reranker(
    workspace: Workspace,
    request: FinetuneRequest,
    options: RerankerOptions,
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> RerankerResult:
    """Prepare as `finetune` does, train on mined negatives, and judge on the held-out questions.

    Base is vector search; tuned is the same candidates in the order of the reranker.

    Arguments:
        request: its `options` say how to train, negatives included; `split` cannot have folds.
    Raises:
        ConfigError: folds, or a base that was tuned here on pairs that may be held out now.
        PairsError, LeakError: the pairs cannot be used.
        IndexMissing, ModelError, TrainingError: as their names say.
    """
    started = time.monotonic()
    _check(request, options)
    context = TrainingContext(workspace, progress, tell)
    announce(progress, 1, STEPS, "reading and splitting the pairs")
    # Out of domain nobody reads candidates again, since nothing goes into service.
    prepared = prepare(context, replace(request, canary=CanaryOptions.of("none")))
    [material] = prepared.materials
    base = _base(context, prepared, options.base)
    name = run_name(KIND, prepared.base.model, material.rows)
    with open_curves(request.report_to, context.curves_folder, name) as curves:
        announce(progress, 2, STEPS, "training")
        watched = replace(context, curves=curves)
        target, report = _train(watched, request, prepared, base, options.candidates)
        announce(progress, 3, STEPS, "scoring vector search and reranker on held-out questions")
        spec = f"vector+rerank:{target.name}"
        retrieval = RetrievalOptions.parse(spec, fetch_k=options.candidates)
        outcomes, ms = _score(context, prepared, retrieval)
        seed = request.options.seed
        held_out, verdict = judge_held_out([outcomes], seed=seed)
        if verdict.decision == "promote" and options.base and scores_pairs(base.folder):
            whole = next(iter(held_out.values()))
            untuned = replace(retrieval, rerank=options.base)
            parts = _untuned(context, prepared, untuned, whole, seed=seed)
            verdict = name_uncertain_parts(verdict, whole, parts, seed=seed)
        summarise_held_out(curves, held_out)
    result = RerankerResult(
        model=target,
        base_model=base.name,
        index=prepared.base.index.name,
        retrieval=retrieval,
        material=material,
        held_out=held_out,
        verdict=verdict,
        ms_per_question=ms,
        training=report,
        options=request.options,
        seconds=time.monotonic() - started,
        results=prepared.results(request, target.name, options),
    )
    opened = AskedIndex.of(prepared.base.index, prepared.base.model, prepared.passages.nodes)
    with whole_folder(result.results, hidden=True) as folder:
        keep_held_out(folder, held_out, [opened])
        write_json(summary_of(folder, "finetune"), result.to_json())
    return result


def _check(request: FinetuneRequest, options: RerankerOptions) -> None:
    """Refuse what could not end well before anything is read."""
    check_tracker(request.report_to)
    if request.split.folds:
        raise ConfigError("a reranker is judged on one split; leave out --folds")
    if options.candidates < LEAST_CANDIDATES:
        raise ConfigError(
            f"--fetch-k is {options.candidates}; a reranker orders {LEAST_CANDIDATES} candidates "
            "or more, since scores look at the first ten"
        )
    refuse_unwritable(request.results, is_folder=True, make_parents=True)


def _base(context: TrainingContext, prepared: Prepared, name: str | None) -> Weights:
    """What is to be trained; never what has learned from pairs that may be held out now."""
    if name is None:
        model = prepared.base.model
        return Weights(model.name, model.folder)
    workspace = context.workspace
    folder = find_weights(name, storage=workspace.storage, offline=workspace.offline)
    base = Weights(name, folder)
    if training_documents(base):
        raise ConfigError(
            f"{name} was tuned here, on questions that may be held out now; name the model that it "
            "was tuned from with --base"
        )
    return base


def _train(
    context: TrainingContext,
    request: FinetuneRequest,
    prepared: Prepared,
    base: Weights,
    candidates: int,
) -> tuple[Path, TrainingReport]:
    """Folder of the tuned reranker, and how training went."""
    options, [material] = request.options, prepared.materials
    per_pair = options.negatives.per_pair
    rows = mined_rows(context, prepared.base.model, material, per_pair, seed=options.seed)
    dev = _dev_candidates(context, prepared, candidates)
    dev_texts = [text for one in dev for text in (one.question, *one.found)]
    key = training_key(base.fingerprint, rows, dev_texts, options)
    target = context.models / folder_name(base.name, KIND, key)
    with training_lock(context.models, f".{target.name}"):
        report = train_cross_encoder(
            base.folder,
            rows,
            dev=dev,
            target=target,
            options=options,
            device=context.device,
            progress=foretold(
                context.progress,
                "train",
                f"{counted(len(rows), 'pair')}, {counted(options.epochs, 'epoch')}",
                after=TIMED_STEPS,
            ),
            log=partial(context.curves.log, KIND),
        )
    write_training_documents(
        target, material.training_documents, questions=material.training_questions
    )
    return target, report


def _dev_candidates(
    context: TrainingContext, prepared: Prepared, count: int
) -> list[DevCandidates]:
    """The dev questions with their nearest passages of the dev pool."""
    [material], model = prepared.materials, prepared.base.model
    dev = material.dev
    if dev is None:
        return []
    questions = context.cache.embed_queries(model, dev.questions)
    found, _ = nearest(questions, context.cache.embed_passages(model, dev.passages), count)
    return [
        DevCandidates(
            question, [dev.passages[row] for row in rows], [dev.passages[row] for row in gold]
        )
        for question, rows, gold in zip(dev.questions, found.tolist(), dev.gold, strict=True)
    ]


def _untuned(
    context: TrainingContext,
    prepared: Prepared,
    retrieval: RetrievalOptions,
    whole: Comparison,
    *,
    seed: int,
) -> dict[str, Comparison]:
    """What the cross-encoder brought before it was tuned, which may be all of the gain.

    Arguments:
        retrieval: with that cross-encoder.
        whole: vector search against the tuned one, on the questions to ask.
    """
    [material] = prepared.materials
    retriever = retriever_in_memory(context, prepared.searched, retrieval)
    found = score_questions(retriever, material.test, depth=KEPT_RANKS, progress=context.progress)
    compared = compare_outcomes(whole.base_outcomes, found, seed=seed)
    return {f"untuned, {retrieval.spec}": compared}


def _score(
    context: TrainingContext, prepared: Prepared, retrieval: RetrievalOptions
) -> tuple[dict[HeldOut, BaseAndTuned], float]:
    """Outcomes without and with the reranker, and what it takes, in milliseconds a question."""
    [material], base = prepared.materials, prepared.base.model
    passages, progress = prepared.passages, context.progress
    retriever = retriever_in_memory(context, prepared.searched, retrieval)
    outcomes: dict[HeldOut, BaseAndTuned] = {}
    seconds = 0.0
    for what, questions in material.tests.items():
        # First, so that the questions' vectors are there when the reranker is timed.
        before = exact_outcomes(passages, base, questions, cache=context.cache, progress=progress)
        started = time.monotonic()
        after = score_questions(retriever, questions, depth=KEPT_RANKS, progress=progress)
        seconds += time.monotonic() - started
        outcomes[what] = BaseAndTuned(before, after)
    asked = sum(map(len, material.tests.values()))
    return outcomes, 1000 * seconds / asked
