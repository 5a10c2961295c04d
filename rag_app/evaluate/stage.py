"""Stage: any indexes, models and retrievers side by side on one file of questions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunks import passage_text
from rag_app.errors import ConfigError, PairsError
from rag_app.evaluate.comparison import Comparison, compare, scores_json
from rag_app.evaluate.scoring import LARGEST_K, Outcome, score_questions, write_outcomes
from rag_app.evaluate.statistics import Estimate, summarise
from rag_app.index import Catalog, Passages, VectorCache, VectorIndex
from rag_app.models import EmbeddingModel, load_named
from rag_app.pairs import (
    Pair,
    build_questions,
    cluster_documents,
    document_texts,
    match_questions,
    read_questions,
)
from rag_app.progress import Progress, silent
from rag_app.retrieve import ExactRetriever, VectorRetriever

if TYPE_CHECKING:
    from llama_index.core.retrievers import BaseRetriever

    from rag_app.config import Settings


@dataclass(frozen=True)
class Subject:
    """What is evaluated: passages with their vectors, the model, and the index they came from.

    `cache` keeps the questions' vectors, so that they are embedded once per model.
    """

    name: str
    index: VectorIndex
    model: EmbeddingModel
    passages: Passages
    cache: VectorCache


def _exact(subject: Subject) -> "BaseRetriever":
    return ExactRetriever(subject.passages, subject.model, top_k=LARGEST_K, cache=subject.cache)


def _vector(subject: Subject) -> "BaseRetriever":
    return VectorRetriever(subject.index, subject.model, top_k=LARGEST_K)


# "exact" compares with every vector; "vector" is the approximate search that the REPL uses.
RETRIEVERS: dict[str, Callable[[Subject], "BaseRetriever"]] = {"exact": _exact, "vector": _vector}


@dataclass(frozen=True)
class EvaluatedRun:
    """One subject under one retriever. `against_first` compares it with the first run."""

    name: str
    model: str
    retriever: str
    scores: dict[str, Estimate]
    outcomes: list[Outcome]
    seconds: float
    against_first: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints for a run."""
        values: dict[str, Any] = {
            "name": self.name,
            "model": self.model,
            "retriever": self.retriever,
            "n": len(self.outcomes),
            **scores_json(self.scores),
            "seconds": round(self.seconds, 3),
        }
        if self.against_first:
            compared = self.against_first.to_json()
            values["against_first"] = {
                key: compared[key] for key in ("differences", "verdict", "reason", "flips")
            }
        return values


@dataclass(frozen=True)
class EvaluateRequest:
    """What to ask whom."""

    questions: Path
    indexes: Sequence[str] = ()
    models: Sequence[str] = ()
    retrievers: Sequence[str] = ("exact",)
    results: Path | None = None


def evaluate(
    settings: "Settings", request: EvaluateRequest, *, progress: Progress = silent
) -> tuple[list[EvaluatedRun], int]:
    """Score every index (or every model, over the active index's chunks) with every retriever.

    Returns:
        the runs, and how many questions had no answer in the first index.
    Raises:
        ConfigError: an unknown retriever, or the index's own search asked of a model without one.
        PairsError: the questions cannot be read, or none of their answers is in the index.
    """
    _check_retrievers(request)
    catalog = Catalog(settings.storage, chroma_url=settings.chroma_url)
    subjects = _subjects(settings, catalog, request, progress)
    pairs, unmatched = _match(settings, request.questions, subjects[0].passages)
    clusters = cluster_documents(document_texts(subjects[0].passages.nodes))
    runs: list[EvaluatedRun] = []
    for subject in subjects:
        questions = build_questions(pairs, subject.passages.nodes, clusters)
        for kind in request.retrievers:
            started = time.monotonic()
            outcomes = score_questions(RETRIEVERS[kind](subject), questions, progress=progress)
            seconds = time.monotonic() - started
            first = runs[0].outcomes if runs else None
            runs.append(
                EvaluatedRun(
                    name=subject.name,
                    model=subject.model.name,
                    retriever=kind,
                    scores=summarise(outcomes, seed=settings.seed),
                    outcomes=outcomes,
                    seconds=seconds,
                    against_first=compare(first, outcomes, seed=settings.seed) if first else None,
                )
            )
    if request.results:
        for run in runs:
            write_outcomes(request.results / f"{run.name}-{run.retriever}.jsonl", run.outcomes)
    return runs, unmatched


def _check_retrievers(request: EvaluateRequest) -> None:
    for kind in request.retrievers:
        if kind not in RETRIEVERS:
            raise ConfigError(
                f"there is no retriever {kind!r}; --retriever takes one of: {', '.join(RETRIEVERS)}"
            )
    if request.models and "vector" in request.retrievers:
        raise ConfigError(
            "--retriever vector asks an index, and --model has none; "
            "use --index NAME, or --retriever exact"
        )


def _subjects(
    settings: "Settings", catalog: Catalog, request: EvaluateRequest, progress: Progress
) -> list[Subject]:
    subjects = []
    cache = VectorCache(settings.storage)
    names: list[str | None] = [*request.indexes] or ([] if request.models else [None])
    for name in names:
        index = catalog.open(name)
        model = load_named(index.info.model, settings)
        index.check_model(model)
        subjects.append(Subject(index.name, index, model, index.passages(), cache))
    if request.models:
        index = catalog.open()
        nodes = index.passages().nodes
        texts = [passage_text(node) for node in nodes]
        for name in request.models:
            model = load_named(name, settings)
            vectors = cache.embed_passages(model, texts, progress=progress)
            short = name.rstrip("/").rsplit("/", 1)[-1]
            subjects.append(Subject(short, index, model, Passages(nodes, vectors), cache))
    return subjects


def _match(settings: "Settings", path: Path, passages: Passages) -> tuple[list[Pair], int]:
    questions = read_questions(
        path, question_column=settings.question_column, answer_column=settings.answer_column
    )
    matching = match_questions(questions, passages.nodes)
    if not matching.pairs:
        raise PairsError(
            f"none of the {len(questions)} answers in {path} is in the index; "
            "ingest the documents they come from: `rag-app ingest PATH`"
        )
    return matching.pairs, len(matching.unmatched)
