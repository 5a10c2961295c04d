"""`evaluate`: indexes, models and retrievers side by side on one file of questions."""

from pathlib import Path
from typing import Annotated

import typer

from rag_app.cli.retrieval import (
    FetchK,
    Llm,
    LlmBaseUrl,
    LlmModel,
    Rewrites,
    Today,
    Where,
    open_tools,
    read_day,
)
from rag_app.cli.run import Run, command


@command
def evaluate(
    run: Run,
    questions: Annotated[
        Path, typer.Argument(help="Questions with answers: CSV, TSV, XLSX, JSONL, JSON or BEIR.")
    ],
    index: Annotated[
        list[str] | None, typer.Option(help="Index; give it again for more. [in service]")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model, over the chunks of the index in service.")
    ] = None,
    retriever: Annotated[
        list[str] | None,
        typer.Option(
            help="exact, vector (the index's own search), keyword, hybrid:0.7, or with steps: "
            "hybrid:0.7+latest; again for more. [exact]"
        ),
    ] = None,
    where: Where = None,
    fetch_k: FetchK = None,
    rewrites: Rewrites = None,
    today: Today = None,
    llm: Llm = None,
    llm_base_url: LlmBaseUrl = None,
    llm_model: LlmModel = None,
    out: Annotated[Path | None, typer.Option(help="Folder for every question's outcome.")] = None,
    question_column: Annotated[str | None, typer.Option(help="In tables. [question]")] = None,
    answer_column: Annotated[str | None, typer.Option(help="In tables. [answer]")] = None,
    chroma_url: Annotated[str | None, typer.Option(help="A Chroma server.")] = None,
) -> None:
    """Score retrieval on questions whose answers are known; the first run is the one to beat.

    A JSON dataset or a BEIR folder brings its own passages: if the index in service does not hold
    them, they are indexed by themselves, and the model in service is scored beside its base.
    """
    settings = run.settings(
        question_column=question_column,
        answer_column=answer_column,
        chroma_url=chroma_url,
        where=where,
        fetch_k=fetch_k,
        rewrites=rewrites,
        today=read_day(today),
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
    )
    from rag_app.cli.scores import runs_table
    from rag_app.evaluate.stage import EvaluateRequest
    from rag_app.evaluate.stage import evaluate as evaluate_stage

    request = EvaluateRequest(
        questions=questions,
        indexes=index or (),
        models=model or (),
        retrievers=retriever or ("exact",),
        results=out,
    )
    with open_tools(settings, request.retrievers) as tools:
        runs, unmatched = evaluate_stage(
            settings, request, tools=tools, progress=run.progress, tell=run.note
        )
    if unmatched:
        run.warn(str(unmatched))
    for one in {(one.name, one.model): one for one in runs}.values():
        if one.seen:
            run.warn(
                f"{one.model} was trained on the documents of {one.seen} of these questions; its "
                "scores on them say nothing about new ones"
            )
    for one in runs:
        for warning, count in one.warnings.items():
            run.warn(f"{one.retriever}, {count} of {len(one.outcomes)} questions: {warning}")
    named = [(f"{one.name} {one.retriever}", one.scores) for one in runs]
    run.out.print(runs_table(named, title=f"{len(runs[0].outcomes)} questions"))
    for one in runs[1:]:
        if one.against_first:
            run.out.print(
                f"{one.name} {one.retriever} against the first: {one.against_first.verdict}",
                soft_wrap=True,
            )
    run.result(
        {
            "runs": [one.to_json() for one in runs],
            "unmatched": unmatched.count,
            "unmatched_example": unmatched.example,
        }
    )
