"""Stage: documents and questions in, the better index in service and a report out.

It is `ingest`, `questions`, `finetune` and `sweep` one after the other. Each of them takes up what
was done before, so that a run that was killed goes on where it stopped; nothing is kept here.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeAlias

from rag_app.finetune.context import TrainingContext
from rag_app.finetune.result import FinetuneResult
from rag_app.finetune.stage import finetune
from rag_app.index import Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.pairs import read_questions
from rag_app.progress import Progress, silent
from rag_app.questions import QuestionsReport, write_questions
from rag_app.retrieve import Tools
from rag_app.sweep.result import SweepResult
from rag_app.tune.plan import Plan, plan_ahead
from rag_app.tune.request import TuneRequest
from rag_app.tune.retrievers import compare_retrievers

StageResult: TypeAlias = IngestReport | Plan | QuestionsReport | FinetuneResult | SweepResult


@dataclass(frozen=True)
class TuneResult:
    """What each stage brought.

    Fields:
        plan: what was foreseen after the ingest.
        questions: None where pairs were named.
        sweep: of the retrievers; None where there was none.
        sweep_skipped: why there was none; empty if there was.
        in_service: the index in service now.
        retriever: that it is asked with, unless another is named.
    """

    ingest: IngestReport
    plan: Plan
    questions: QuestionsReport | None
    finetune: FinetuneResult
    sweep: SweepResult | None
    sweep_skipped: str
    in_service: str | None
    retriever: str
    seconds: float


def tune(
    workspace: Workspace,
    request: TuneRequest,
    *,
    tools: Callable[[], AbstractContextManager[Tools]],
    ended: Callable[[StageResult], None] = lambda _: None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> TuneResult:
    """Ingest, write questions unless pairs are named, fine-tune, compare retrievers.

    Arguments:
        tools: opens what retrieval needs.
        ended: called with the result of each stage as soon as it ends, and with the plan of what is
            to come.
        tell: called with a sentence for the user.
        warn: called before the embedding with what is wrong with the documents or their model.
    Raises:
        DocumentError, PairsError, LeakError, ConfigError, ModelError, LanguageModelError,
            TrainingError, IndexMissing, IndexMismatch, IndexLocked, StorageError: as the stages.
    """
    started = time.monotonic()
    asked = request.finetune
    if asked.pairs is not None:
        # Before the documents are embedded, which takes longer.
        read_questions(
            asked.pairs,
            question_column=asked.columns.question,
            answer_column=asked.columns.answer,
        )
    _head(progress, "ingest")
    ingested = ingest(
        workspace,
        IngestRequest(
            request.paths,
            options=request.index,
            columns=asked.columns,
            ocr=request.ocr,
            metadata=request.metadata,
        ),
        progress=progress,
        tell=warn,
    )
    ended(ingested)
    asked = replace(asked, index=ingested.index)
    # Opened anew each time: a model that stays loaded would take memory while another trains.
    plan = plan_ahead(TrainingContext(workspace), request, workspace.open(ingested.index))
    ended(plan)
    written = None
    if asked.pairs is None:
        _head(progress, "questions")
        written = write_questions(
            workspace.open(ingested.index),
            storage=workspace.storage,
            llm=asked.llm,
            per_chunk=request.per_chunk,
            writing=request.writing,
            seed=asked.options.seed,
            progress=progress,
        )
        ended(written)
    _head(progress, "finetune")
    tuned = finetune(workspace, asked, progress=progress, tell=tell)
    ended(tuned)
    _head(progress, "sweep")
    served = tuned.index if tuned.promoted else ingested.index
    # Another index than the one in service was not compared with it.
    may_serve = request.sweep.promote and workspace.catalog.in_service() == served
    swept, skipped = compare_retrievers(
        workspace,
        replace(request.sweep, questions=asked.pairs, index=served, promote=may_serve),
        tools=tools,
        progress=progress,
        tell=tell,
    )
    if swept:
        ended(swept)
    return TuneResult(
        ingest=ingested,
        plan=plan,
        questions=written,
        finetune=tuned,
        sweep=swept,
        sweep_skipped=skipped,
        in_service=workspace.catalog.in_service(),
        retriever=_retriever(workspace, request, swept),
        seconds=time.monotonic() - started,
    )


def _retriever(workspace: Workspace, request: TuneRequest, swept: SweepResult | None) -> str:
    """The retriever that the index in service is asked with, unless another is named."""
    if swept and swept.promoted:
        return str(swept.settings["retriever"])
    own, in_service = request.sweep.retrieval, workspace.catalog.in_service()
    return own.spec if in_service is None else own.of(workspace.catalog.open(in_service)).spec


def _head(progress: Progress, stage: str) -> None:
    """A line before a stage, whose own steps are numbered."""
    progress(f"== {stage} ==", 0, 0)
