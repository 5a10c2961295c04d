"""Stage: any indexes, models and retrievers side by side on one file of questions."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rag_app.chunks import Chunking, passage_text
from rag_app.documents import Columns
from rag_app.errors import ConfigError, PairsError
from rag_app.evaluate.comparison import Comparison, compare_outcomes, scores_json
from rag_app.evaluate.evidence import AskedIndex
from rag_app.evaluate.file_names import key_of
from rag_app.evaluate.kept_passages import names_of, passages_of
from rag_app.evaluate.recorded import Recorded
from rag_app.evaluate.scoring import KEPT_RANKS, Outcome, score_questions
from rag_app.evaluate.statistics import Estimate, summarise
from rag_app.evaluate.trained_on import questions_trained_on
from rag_app.index import IndexModel, Passages, VectorCache, VectorIndex, Workspace
from rag_app.pairs import (
    Pair,
    Question,
    Unmatched,
    build_questions,
    cluster_documents,
    document_texts,
    match_questions,
    open_dataset,
    question_key,
    read_questions,
    training_documents,
    tuned_from,
)
from rag_app.progress import Progress, silent
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.retrieve.learned import kept_fusion
from rag_app.retrieve.trace import TracedRetriever

# The retriever that searches as the REPL does.
APPROXIMATE = "vector"


@dataclass(frozen=True)
class Subject:
    """What is evaluated: passages with their vectors, the model, and the index they came from.

    Fields:
        cache: keeps the questions' vectors, so that they are embedded once per model.
        verbatim: known questions may be asked as they stand; else each is held out while it is
            asked.
    """

    name: str
    index: VectorIndex
    model: IndexModel
    passages: Passages
    cache: VectorCache
    verbatim: bool = False

    @property
    def tuned(self) -> bool:
        """Whether the model was trained by `finetune`."""
        own = self.index.info
        return (self.model.name == own.model != own.base_model) or bool(
            training_documents(self.model)
        )

    def retriever(
        self, options: RetrievalOptions, tools: Tools, *, top_k: int = KEPT_RANKS
    ) -> TracedRetriever:
        """The retriever of these options; search is exact, save for "vector" itself."""
        approximate = options.retriever == APPROXIMATE
        searched = self._live if approximate else self._in_memory
        return build_retriever(searched, options, top_k=top_k, tools=tools)

    def known_among(self, questions: Sequence[Question], tools: Tools) -> int:
        """How many of these are known questions of the index."""
        known = self._in_memory.questions(tools.storage)
        keys = {question_key(one.text) for one in known.questions}
        return sum(question_key(question.text) in keys for question in questions)

    @property
    def _live(self) -> Searched:
        return Searched(self.index, self.model, held_out=not self.verbatim)

    @cached_property
    def _in_memory(self) -> Searched:
        """Kept, so that its keyword index is made once."""
        held_out = not self.verbatim
        return Searched(self.index, self.model, self.passages, self.cache, held_out=held_out)


@dataclass(frozen=True)
class EvaluatedRun:
    """One subject under one retriever.

    Fields:
        tuned: whether the model was trained by `finetune`.
        trained_on: questions about documents that the model or the reranker was trained on, and
            those that the weights of a hybrid were learned from.
        model_trained_on, retriever_trained_on: those of each of them.
        unknown_weights: why it is not known which questions taught the weights; empty if it is.
        warnings: of single questions -> how many have it.
        against_first: compares it with the first run.
        no_verdict: why that comparison gives no verdict; empty if it does.
        known: of a retriever with known questions, how many of those asked the index knows.
        verbatim: they were asked as they stand; else each was held out while it was asked.
        fingerprint: of the model; None where it is not known, as is how the index was cut.
        names: what the passages of its outcomes are called, by chunk id.
        kept: name of the file of its outcomes, where they were written.
    """

    name: str
    model: str
    retriever: str
    scores: dict[str, Estimate]
    outcomes: list[Outcome]
    seconds: float
    tuned: bool
    trained_on: int
    warnings: dict[str, int]
    against_first: Comparison | None = None
    no_verdict: str = ""
    known: int | None = None
    verbatim: bool = False
    fingerprint: str | None = None
    chunking: Chunking | None = None
    kept: str | None = None
    model_trained_on: int = 0
    retriever_trained_on: int = 0
    unknown_weights: str = ""
    names: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def known_label(self) -> str | None:
        """What was done with the questions that the index knows; None without `+questions`."""
        if self.known is None:
            return None
        return "verbatim" if self.verbatim else "held out"

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints for a run."""
        values: dict[str, Any] = {
            "name": self.name,
            "model": self.model,
            "retriever": self.retriever,
            "fingerprint": self.fingerprint,
            "chunk_size": self.chunking.chunk_size if self.chunking else None,
            "chunk_overlap": self.chunking.chunk_overlap if self.chunking else None,
            "outcomes": self.kept,
            "n": len(self.outcomes),
            **scores_json(self.scores),
            "seconds": round(self.seconds, 3),
            "trained_on": self.trained_on,
            "warnings": self.warnings,
            "known_questions": self.known_label,
            "known_asked": self.known,
        }
        if self.against_first:
            compared = self.against_first.to_json()
            values["against_first"] = {
                key: compared[key] for key in ("differences", "verdict", "reason", "flips")
            }
            if self.no_verdict:
                values["against_first"] |= {"verdict": None, "reason": self.no_verdict}
        return values


@dataclass(frozen=True)
class EvaluateRequest:
    """What to ask whom.

    Fields:
        retrievers: as `RetrievalOptions.with_spec` reads them.
        retrieval: has the filter and numbers that are the same for all retrievers.
        usual_model: for passages that the questions bring, where none is named.
        columns: of a table of questions.
        verbatim: let `+questions` find a known question by itself, as in service.
    """

    questions: Path
    indexes: Sequence[str] = ()
    models: Sequence[str] = ()
    usual_model: str | None = None
    retrievers: Sequence[str] = ("exact",)
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    columns: Columns = Columns()
    seed: int = 13
    verbatim: bool = False


@dataclass(frozen=True)
class Evaluated:
    """What became of a request.

    Fields:
        unmatched: questions that had no answer in the first index.
        indexes: of the runs, with their chunks.
        name: differs where anything that makes the scores does: what was asked, the weights of the
            models, the chunks.
    """

    runs: list[EvaluatedRun]
    unmatched: Unmatched
    indexes: list[AskedIndex]
    name: str


def evaluate_indexes(
    workspace: Workspace,
    request: EvaluateRequest,
    *,
    tools: Tools,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> Evaluated:
    """Score every index (or every model, over the active index's chunks) with every retriever.

    Questions that bring their own passages are asked of an index of those, where no index was named
    and the one in service does not hold them: by the models that were named, else by the model in
    service and the one it was tuned from.

    Arguments:
        tell: called with a sentence about an index that is made for that.
    Raises:
        ConfigError: an unknown retriever, or the index's own search asked of a model without one.
        PairsError: the questions cannot be read, or none of their answers is in the index.
    """
    options = _retrievers(request)
    subjects = _dataset_subjects(workspace, request, progress, tell) or _subjects(
        workspace, request, progress
    )
    pairs, unmatched = find_labelled(
        request.questions, subjects[0].passages, columns=request.columns
    )
    clusters = cluster_documents(document_texts(subjects[0].passages.nodes))
    indexes = [
        replace(AskedIndex.of(one.index, one.model, one.passages.nodes), name=one.name)
        for one in subjects
    ]
    runs: list[EvaluatedRun] = []
    for one, index in zip(subjects, indexes, strict=True):
        subject = replace(one, verbatim=request.verbatim)
        questions = build_questions(pairs, subject.passages.nodes, clusters)
        of_model = questions_trained_on(pairs, [subject.model], [], tools)
        for each in options:
            own = _as_kept(each, subject.index)
            of_retriever = questions_trained_on(pairs, [], [own], tools)
            trained_on = len(of_model | of_retriever)
            unknown = _unknown_weights(own)
            retriever = Recorded(subject.retriever(each, tools))
            started = time.monotonic()
            outcomes = score_questions(retriever, questions, depth=KEPT_RANKS, progress=progress)
            seconds = time.monotonic() - started
            first = runs[0].outcomes if runs else None
            compared = (
                compare_outcomes(first, outcomes, seed=request.seed, progress=progress)
                if first
                else None
            )
            runs.append(
                EvaluatedRun(
                    name=subject.name,
                    model=subject.model.name,
                    retriever=each.spec,
                    scores=summarise(outcomes, seed=request.seed),
                    outcomes=outcomes,
                    seconds=seconds,
                    tuned=subject.tuned,
                    trained_on=trained_on,
                    model_trained_on=len(of_model),
                    retriever_trained_on=len(of_retriever),
                    warnings=dict(Counter(w for t in retriever.traces for w in t.warnings)),
                    against_first=compared,
                    unknown_weights=unknown,
                    no_verdict=_no_verdict(
                        max([trained_on, *(r.trained_on for r in runs[:1])]), outcomes
                    )
                    or unknown
                    or (runs[0].unknown_weights if runs else ""),
                    known=subject.known_among(questions, tools) if own.questions else None,
                    verbatim=request.verbatim,
                    fingerprint=subject.model.fingerprint,
                    chunking=subject.index.info.chunking,
                    names=names_of(passages_of(index.nodes, outcomes, index.names)),
                )
            )
    return Evaluated(runs, unmatched, indexes, f"evaluate-{_key(request, pairs, indexes)}")


def _key(request: EvaluateRequest, pairs: Sequence[Pair], indexes: Sequence[AskedIndex]) -> str:
    asked = replace(request, questions=Path())
    made = [
        (one.name, one.model.fingerprint, sorted(node.node_id for node in one.nodes))
        for one in indexes
    ]
    return key_of(asked, sorted(pair.id for pair in pairs), made)


def _as_kept(options: RetrievalOptions, index: VectorIndex) -> RetrievalOptions:
    """The options with the retriever and the weights that this index keeps for them."""
    own = options.of(index)
    return replace(own, learned=kept_fusion(index)) if own.to_be_learned else own


def _unknown_weights(options: RetrievalOptions) -> str:
    """Why nobody can say which questions taught the weights; empty if that is known."""
    learned = options.learned
    if learned is None or learned.question_ids is not None:
        return ""
    return (
        f"the weights of {options.spec} were learned on {learned.questions} questions "
        f"({learned.learned_on}) by a version that did not keep which; learn them anew with "
        "`rag-app sweep` or `rag-app finetune`"
    )


def _no_verdict(trained_on: int, outcomes: Sequence[Outcome]) -> str:
    """Why two runs are not judged on these questions, `trained_on` of which taught one of them."""
    if not trained_on:
        return ""
    return (
        f"{trained_on} of {len(outcomes)} questions are training questions of one of the two runs; "
        "judge it on questions that training never saw"
    )


def _retrievers(request: EvaluateRequest) -> list[RetrievalOptions]:
    options = [request.retrieval.with_spec(spec) for spec in request.retrievers]
    if request.models and any(each.retriever == APPROXIMATE for each in options):
        raise ConfigError(
            "--retriever vector asks an index, and --model has none; "
            "use --index NAME, or --retriever exact"
        )
    return options


def _subjects(workspace: Workspace, request: EvaluateRequest, progress: Progress) -> list[Subject]:
    subjects = []
    cache = workspace.cache
    names: list[str | None] = [*request.indexes] or ([] if request.models else [None])
    for name in names:
        opened = workspace.open(name)
        index, model = opened.index, opened.model
        subjects.append(Subject(index.name, index, model, index.passages(), cache))
    if request.models:
        index = workspace.catalog.open()
        subjects += _over_chunks(workspace, index, request.models, progress)
    return subjects


def _over_chunks(
    workspace: Workspace, index: VectorIndex, models: Sequence[str], progress: Progress
) -> list[Subject]:
    """Models over the chunks of one index."""
    subjects = []
    cache, nodes = workspace.cache, index.ordered_nodes()
    texts = [passage_text(node) for node in nodes]
    for name in models:
        model = workspace.index_model(name)
        vectors = cache.embed_passages(model, texts, progress=progress)
        short = model.name.rstrip("/").rsplit("/", 1)[-1]
        subjects.append(Subject(short, index, model, Passages(nodes, vectors), cache))
    return subjects


def _dataset_subjects(
    workspace: Workspace,
    request: EvaluateRequest,
    progress: Progress,
    tell: Callable[[str], None],
) -> list[Subject]:
    """The base and the tuned model, or those named, over the passages that the questions bring.

    None, where an index was named, or the questions bring no passages that are not in service.
    """
    if request.indexes:
        return []
    dataset = open_dataset(
        workspace,
        request.questions,
        model=request.models[0] if request.models else None,
        usual_model=request.usual_model,
        whichever_model=True,
        progress=progress,
        tell=tell,
    )
    if dataset is None:
        return []
    base = dataset.index.info.base_model
    models = request.models or [*filter(None, (base, tuned_from(workspace, base)))]
    approximate = any(options.retriever == APPROXIMATE for options in _retrievers(request))
    if approximate and len(models) > 1:
        raise ConfigError(
            f"--retriever vector asks an index, and that of {request.questions.name} is of "
            f"{dataset.model.name} alone; use --index {dataset.index.name}, or --retriever exact"
        )
    return _over_chunks(workspace, dataset.index, models, progress)


def find_labelled(
    path: Path, passages: Passages, *, columns: Columns = Columns()
) -> tuple[list[Pair], Unmatched]:
    """Labelled questions with their answers' places, and those without an answer in the index.

    Raises:
        PairsError: the file cannot be read, or none of its answers is in the index.
    """
    questions = read_questions(path, question_column=columns.question, answer_column=columns.answer)
    matching = match_questions(questions, passages.nodes)
    if not matching.pairs:
        raise PairsError(
            f"none of the {len(questions)} answers in {path} is in the index; "
            "ingest the documents they come from: `rag-app ingest PATH`"
        )
    return matching.pairs, matching.left_out
