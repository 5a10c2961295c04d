"""`tune`: ingest, questions, finetune, sweep and report in one go."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.flags import (
    DATA,
    AnswerColumn,
    ChunkSize,
    Device,
    DocumentPaths,
    Llm,
    LlmBaseUrl,
    LlmModel,
    Metadata,
    NewModel,
    Ocr,
    Preset,
    QuestionColumn,
    Seed,
)
from rag_app.cli.given import (
    columns_of,
    index_options_of,
    language_model_of,
    metadata_of,
    retrieval_of,
    workspace_of,
)
from rag_app.cli.ingest import WarnedOnce, show_ingest
from rag_app.cli.judgements import note_judgements
from rag_app.cli.questions import cost_in_words, show_questions
from rag_app.cli.report import report_on
from rag_app.cli.retrieval import open_tools
from rag_app.cli.run import Run, command
from rag_app.cli.sweep import show_sweep

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.tune.request import TuneRequest
    from rag_app.tune.stage import StageResult, TuneResult

EXAMPLES = (
    "rag-app tune docs/ --pairs questions.csv",
    "rag-app tune docs/ faq.csv --preset quick",
    "rag-app tune docs/ --pairs questions.csv --no-promote --json",
)


@command
def tune(
    run: Run,
    paths: DocumentPaths,
    *,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Labelled question/passage pairs: CSV, TSV, XLSX, JSONL, JSON or a BEIR folder. "
            "[generated questions]"
        ),
    ] = None,
    preset: Preset = None,
    model: NewModel = None,
    chunk_size: ChunkSize = None,
    no_promote: Annotated[
        bool,
        typer.Option(
            "--no-promote", help="Only measure: put nothing tuned into service, write no settings."
        ),
    ] = False,
    per_chunk: Annotated[
        int,
        typer.Option(
            min=1,
            help="Questions to generate for each chunk, without --pairs.",
            rich_help_panel=DATA,
        ),
    ] = 2,
    llm: Llm = None,
    llm_base_url: LlmBaseUrl = None,
    llm_model: LlmModel = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
    ocr: Ocr = None,
    metadata: Metadata = None,
    device: Device = None,
    seed: Seed = None,
) -> None:
    """Ingest documents, write questions unless you have pairs, fine-tune, compare retrievers, and
    put what won into service: all stages in one go, with a report.

    After the ingest it says what is to come and how long that will take. Run it again after it was
    stopped: what is done is not done twice.
    """
    settings = run.settings(
        model=model,
        chunk_size=chunk_size,
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        question_column=question_column,
        answer_column=answer_column,
        ocr=ocr,
        metadata=metadata or None,
        device=device,
        seed=seed,
    )
    from rag_app.tune.stage import tune as tune_stage

    request = _request(
        settings, paths, pairs=pairs, preset=preset, per_chunk=per_chunk, promote=not no_promote
    )
    note_judgements(run, pairs, to_train=True)
    writing = replace(request.writing, announce=lambda cost: run.say(cost_in_words(cost)))
    warn = WarnedOnce(run)
    result = tune_stage(
        workspace_of(settings),
        replace(request, writing=writing),
        tools=partial(open_tools, settings, (settings.retriever, *request.sweep.grid.retrievers)),
        ended=partial(_show_stage, run, warn),
        progress=run.progress,
        tell=run.note,
        warn=warn,
    )
    _show_end(run, result)


def _request(
    settings: "Settings",
    paths: list[Path],
    *,
    pairs: Path | None,
    preset: str | None,
    per_chunk: int,
    promote: bool,
) -> "TuneRequest":
    from rag_app.finetune.options import TrainingOptions
    from rag_app.finetune.presets import DEFAULT
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.pairs import SplitOptions
    from rag_app.sweep.request import SweepRequest
    from rag_app.tune.request import TuneRequest

    shared: dict[str, Any] = {
        "columns": columns_of(settings),
        "llm": language_model_of(settings),
        "results": settings.results,
        "promote": promote,
    }
    return TuneRequest(
        paths=paths,
        index=index_options_of(settings),
        ocr=settings.ocr or None,
        metadata=metadata_of(settings),
        per_chunk=per_chunk,
        finetune=FinetuneRequest(
            pairs=pairs,
            usual_model=settings.model,
            options=TrainingOptions(**DEFAULT, seed=settings.seed),
            split=SplitOptions(),
            preset=preset,
            **shared,
        ),
        sweep=SweepRequest(retrieval=retrieval_of(settings), seed=settings.seed, **shared),
    )


def _show_stage(run: Run, warn: WarnedOnce, result: "StageResult") -> None:
    """What the stage's own command prints."""
    from rag_app.cli.tuning import show_tuning
    from rag_app.finetune.result import FinetuneResult
    from rag_app.ingest.report import IngestReport
    from rag_app.questions import QuestionsReport
    from rag_app.tune.plan import Plan

    if isinstance(result, IngestReport):
        show_ingest(run, result, warn)
    elif isinstance(result, Plan):
        run.say(str(result), style="bold")
    elif isinstance(result, QuestionsReport):
        show_questions(run, result)
    elif isinstance(result, FinetuneResult):
        show_tuning(run, result)
    else:
        show_sweep(run, result)


def _show_end(run: Run, result: "TuneResult") -> None:
    """The reports, and three sentences."""
    from rag_app.tune.summary import summary

    swept = result.sweep
    of_sweep = report_on(run, swept.results) if swept else {}
    if result.sweep_skipped:
        run.say(f"retrievers were not compared: {result.sweep_skipped}")
    of_finetune = report_on(run, result.finetune.results)
    sentences = summary(result)
    for sentence in sentences:
        run.say(sentence)
    run.result(
        {
            "ingest": result.ingest.to_json(),
            "plan": result.plan.to_json(),
            "questions": result.questions.to_json() if result.questions else None,
            "finetune": {**result.finetune.to_json(), **of_finetune},
            "sweep": {**swept.to_json(), **of_sweep} if swept else None,
            "sweep_skipped": result.sweep_skipped,
            "verdict": result.finetune.verdict.decision,
            "index": result.in_service,
            "retriever": result.retriever,
            "summary": sentences,
            "seconds": round(result.seconds, 2),
            **of_finetune,
        }
    )
