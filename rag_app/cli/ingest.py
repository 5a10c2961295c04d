"""`ingest`: documents into an index."""

from pathlib import Path
from typing import Annotated

import typer

from rag_app.cli.flags import DATA, AnswerColumn, ChromaUrl, QuestionColumn
from rag_app.cli.run import Run, command

# Failed documents printed one by one; the rest are counted (all of them are in --json).
SHOWN_FAILURES = 20


EXAMPLES = (
    "rag-app ingest docs/ faq.csv",
    "rag-app ingest docs/ --chunk-size 512 --use",
    "rag-app ingest 문서/ --model intfloat/multilingual-e5-small",
)


@command
def ingest(
    run: Run,
    paths: Annotated[list[Path], typer.Argument(help="Files and folders of documents.")],
    model: Annotated[
        str | None,
        typer.Option(help="Embedding model: a name or a folder. [all-MiniLM-L6-v2, English]"),
    ] = None,
    chunk_size: Annotated[
        int | None, typer.Option(help="Chunk size in tokens of the model. [256]")
    ] = None,
    chunk_overlap: Annotated[
        int | None, typer.Option(help="Tokens that neighbouring chunks share. [32]")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(help="Name of the index to write. [made from model and chunk size]"),
    ] = None,
    use: Annotated[
        bool, typer.Option("--use", help="Put the index into service afterwards.")
    ] = False,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
    sentences: Annotated[
        str | None,
        typer.Option(
            help="Sentence splitter: rules, or kiwi (Korean morphology). [rules]",
            rich_help_panel=DATA,
        ),
    ] = None,
    chroma_url: ChromaUrl = None,
) -> None:
    """Read documents (md, txt, html, pdf, csv, tsv, jsonl, xlsx) into an index.

    Run it again at any time: only what was added or changed is embedded, what was removed goes.
    """
    settings = run.settings(
        model=model,
        chunk_size=chunk_size,
        chunk_overlap=chunk_overlap,
        sentences=sentences,
        question_column=question_column,
        answer_column=answer_column,
        chroma_url=chroma_url,
    )
    from rag_app.ingest.stage import ingest as ingest_stage

    report = ingest_stage(paths, settings, index_name=index, use=use, progress=run.progress)
    sync = report.sync
    for failure in report.failures[:SHOWN_FAILURES]:
        run.warn(f"{failure.path} {failure.reason}")
    for warning in report.warnings:
        run.warn(warning)
    run.say(
        f"{len(sync.added)} added, {len(sync.changed)} changed, {len(sync.unchanged)} unchanged, "
        f"{len(sync.removed)} removed, {len(report.failures)} failed, {len(report.skipped)} skipped"
    )
    run.say(f"index {report.index}: {report.chunks} chunks, {report.model}, {report.seconds:.1f} s")
    if not report.active:
        run.note(f"it is not in service; `rag-app index use {report.index}` puts it there")
    run.result(
        {
            "index": report.index,
            "model": report.model,
            "added": len(sync.added),
            "changed": len(sync.changed),
            "unchanged": len(sync.unchanged),
            "removed": len(sync.removed),
            "failed": [{"path": str(f.path), "reason": f.reason} for f in report.failures],
            "skipped": [str(path) for path in report.skipped],
            "chunks": report.chunks,
            "truncated_chunks": sync.truncated_chunks,
            "warnings": report.warnings,
            "seconds": round(report.seconds, 2),
        }
    )
