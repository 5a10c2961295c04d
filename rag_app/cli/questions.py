"""`questions`: synthetic questions for the chunks of an index."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.given import language_model_of, workspace_of
from rag_app.cli.run import Run, command, table

if TYPE_CHECKING:
    from rag_app.questions import QuestionsReport


@command
def questions(
    run: Run,
    index: Annotated[str | None, typer.Option(help="Name of the index. [in service]")] = None,
    per_chunk: Annotated[int, typer.Option(min=1, help="Questions for each chunk.")] = 2,
    llm: Annotated[str | None, typer.Option(help="auto, none, local or endpoint. [auto]")] = None,
    llm_base_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible endpoint, up to /v1.")
    ] = None,
    llm_model: Annotated[
        str | None, typer.Option(help="The model's name there, or a GGUF file.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many chunks, spread over the index.")
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(help="Your own questions with answers: the first eight set the style."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the kept pairs: .jsonl, .csv, .json or a BEIR folder."),
    ] = None,
    chroma_url: Annotated[str | None, typer.Option(help="A Chroma server.")] = None,
) -> None:
    """Write questions that the chunks answer, for `finetune` to train on.

    Run it again at any time: only chunks that lack questions are asked for. Questions that do not
    find their own passage, copy it, leak the prompt or repeat each other are dropped and counted.
    """
    settings = run.settings(
        llm=llm, llm_base_url=llm_base_url, llm_model=llm_model, chroma_url=chroma_url
    )
    from rag_app.pairs import read_questions, write_pairs
    from rag_app.questions import to_pairs, write_questions

    named = {"question_column": settings.question_column, "answer_column": settings.answer_column}
    report = write_questions(
        workspace_of(settings).open(index),
        storage=settings.storage,
        llm=language_model_of(settings),
        per_chunk=per_chunk,
        limit=limit,
        examples=read_questions(examples, **named) if examples else (),
        seed=settings.seed,
        progress=run.progress,
    )
    if out:
        write_pairs(out, to_pairs(report.questions), report.nodes)
    _show(run, report, out)
    run.result(
        {
            "generator": report.generator,
            "index": report.index,
            "chunks": report.chunks,
            "asked": report.asked,
            "resumed": report.resumed,
            "kept": report.kept,
            "dropped": report.dropped,
            "seconds": round(report.seconds, 2),
            "questions_per_second": round(report.questions_per_second, 2),
        }
    )


def _show(run: Run, report: "QuestionsReport", out: Path | None) -> None:
    if not report.by_language_model:
        run.warn(
            "no language model wrote these questions: they are headings, FAQ lines and key words "
            "of the text itself, which teach less. Install one with "
            "`pip install 'rag-app[local-llm]'`, or name an endpoint with --llm-base-url"
        )
    rows = [("kept", str(report.kept)), *((why, str(n)) for why, n in report.dropped.items())]
    run.out.print(table((f"by {report.generator}", "questions"), rows))
    run.out.print(
        f"index {report.index}: {report.chunks} chunks, {report.resumed} of them had theirs; "
        f"{report.asked} asked, {report.questions_per_second:.1f} a second, "
        f"{report.seconds:.1f} s in all",
        soft_wrap=True,
    )
    if out:
        run.out.print(f"{report.kept} pairs written to {out}", soft_wrap=True)
