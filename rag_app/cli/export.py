"""`export`: what was measured and tuned, for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from rag_app.cli.flags import AnswerColumn, QuestionColumn
from rag_app.cli.given import columns_of, workspace_of
from rag_app.cli.run import Run, command

export_app = typer.Typer(
    help="Write runs, pairs and models for other programs: TREC, BEIR, sentence-transformers.",
    no_args_is_help=True,
)

Kept = Annotated[
    Path,
    typer.Argument(help="A run: what `evaluate --out` or `finetune` wrote, as a folder or a file."),
]
Target = Annotated[Path, typer.Argument(help="Folder to write.")]


@export_app.command("trec", epilog="Example:\n\nrag-app export trec data/ci trec")
@command
def export_trec(run: Run, kept: Kept, folder: Target) -> None:
    """Write qrels and run files of kept runs, for trec_eval, ir-measures, pytrec_eval or ranx.

    Success@k and RR@10 of them are hit@k and MRR@10.
    """
    from rag_app.disk import refuse_unwritable
    from rag_app.evaluate.stored import read_runs
    from rag_app.evaluate.trec import write_trec

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    files = write_trec(folder, read_runs(kept))
    for file in files:
        run.say(f"{file}")
    run.result({"folder": str(folder), "files": [file.name for file in files]})


@export_app.command("beir", epilog="Example:\n\nrag-app export beir questions.jsonl beir")
@command
def export_beir(
    run: Run,
    questions: Annotated[
        Path,
        typer.Argument(
            help="Questions with their answers: CSV, TSV, XLSX, JSONL, JSON or a BEIR folder."
        ),
    ],
    folder: Target,
    index: Annotated[
        str | None, typer.Option(help="Index whose chunks are the corpus. [in service]")
    ] = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
) -> None:
    """Write an index's chunks and labelled questions as a BEIR folder.

    corpus.jsonl, queries.jsonl and qrels/test.tsv; BEIR, MTEB and `rag-app evaluate` read it.
    """
    settings = run.settings(question_column=question_column, answer_column=answer_column)
    from rag_app.disk import refuse_unwritable
    from rag_app.evaluate.stage import find_labelled
    from rag_app.pairs import write_beir

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    passages = workspace_of(settings).catalog.open(index).passages()
    pairs, unmatched = find_labelled(questions, passages, columns=columns_of(settings))
    if unmatched:
        run.warn(str(unmatched))
    write_beir(folder, pairs, passages.nodes)
    run.say(f"{folder}: {len(pairs)} pairs, {len(passages.nodes)} passages")
    run.result(
        {
            "folder": str(folder),
            "pairs": len(pairs),
            "passages": len(passages.nodes),
            "unmatched": unmatched.count,
            "unmatched_example": unmatched.example,
        }
    )


@export_app.command(
    "sentence-transformers",
    epilog="Examples:\n\nrag-app export sentence-transformers my-model\n\n"
    "rag-app export sentence-transformers minilm --model sentence-transformers/all-MiniLM-L6-v2",
)
@command
def export_model(
    run: Run,
    folder: Target,
    model: Annotated[
        str | None,
        typer.Option(help="Embedding model, by name or folder. [that of the index in service]"),
    ] = None,
) -> None:
    """Copy a model, as sentence-transformers loads it, with the card that holds its verdict."""
    settings = run.settings()
    from rag_app.disk import refuse_unwritable
    from rag_app.finetune.export import copy_for_others
    from rag_app.finetune.loading import sentence_transformers_code
    from rag_app.models.weights import find_model

    refuse_unwritable(folder, is_folder=True, make_parents=True)
    asked = model or workspace_of(settings).catalog.open().info.model
    name, found = find_model(asked, storage=settings.storage, offline=settings.offline)
    has_verdict = copy_for_others(found, folder)
    run.say(f"{name} is copied to {folder}:")
    for line in sentence_transformers_code(folder):
        run.say(f"    {line}".rstrip())
    if not has_verdict:
        run.note("its card holds no verdict: `rag-app finetune` did not tune it")
    run.result({"folder": str(folder), "model": name, "verdict_in_card": has_verdict})
