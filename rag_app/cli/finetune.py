"""`finetune`: tune the embedding model and say whether it helped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.finetune.stage import FinetuneResult

TRAIN_ON = ("labelled", "synthetic", "both")


@command
def finetune(
    run: Run,
    pairs: Annotated[
        Path | None,
        typer.Option(help="Labelled pairs: CSV, TSV, XLSX, JSONL, JSON or a BEIR folder."),
    ] = None,
    train_on: Annotated[
        str | None, typer.Option(help="labelled, synthetic or both. [labelled with --pairs]")
    ] = None,
    index: Annotated[str | None, typer.Option(help="Index to start from. [in service]")] = None,
    loss: Annotated[str, typer.Option(help="mnrl.")] = "mnrl",
    method: Annotated[str, typer.Option(help="full.")] = "full",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pairs.")] = 5,
    batch_size: Annotated[int, typer.Option(min=2, help="Pairs in a batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="At its peak.")] = 5e-5,
    max_tokens: Annotated[int, typer.Option(min=16, help="Training cuts texts here.")] = 128,
    dev_share: Annotated[float, typer.Option(help="Pairs that choose the checkpoint.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Pairs that give the verdict.")] = 0.3,
    group_by: Annotated[
        str | None, typer.Option(help="Metadata key: its documents stay on one side.")
    ] = None,
    question_column: Annotated[str | None, typer.Option(help="In tables. [question]")] = None,
    answer_column: Annotated[str | None, typer.Option(help="In tables. [answer]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    chroma_url: Annotated[str | None, typer.Option(help="A Chroma server.")] = None,
    no_promote: Annotated[bool, typer.Option("--no-promote", help="Only measure.")] = False,
) -> None:
    """Train on question/passage pairs, score before and after on held-out questions, and put the
    tuned index into service if it won.

    Without --pairs the questions come from `rag-app questions`. The pairs are split by document:
    no test answer is ever trained on.
    """
    settings = run.settings(
        question_column=question_column,
        answer_column=answer_column,
        device=device,
        chroma_url=chroma_url,
    )
    from rag_app.errors import ConfigError
    from rag_app.finetune.material import SplitOptions
    from rag_app.finetune.options import TrainingOptions
    from rag_app.finetune.stage import FinetuneRequest
    from rag_app.finetune.stage import finetune as finetune_stage

    kind = train_on or ("labelled" if pairs else "synthetic")
    if kind not in TRAIN_ON:
        raise ConfigError(f"--train-on is {kind!r}; it takes one of: {', '.join(TRAIN_ON)}")
    request = FinetuneRequest(
        pairs=pairs,
        train_on=kind,  # type: ignore[arg-type]
        index=index,
        options=TrainingOptions(
            loss=loss,
            method=method,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_tokens=max_tokens,
            seed=settings.seed,
        ),
        split=SplitOptions(dev_share=dev_share, test_share=test_share, group_by=group_by),
        promote=not no_promote,
    )
    result = finetune_stage(settings, request, progress=run.progress)
    _show(run, result)
    run.result(result.to_json())


def _show(run: Run, result: "FinetuneResult") -> None:
    from rag_app.cli.scores import comparison_table

    if result.unmatched:
        run.warn(f"{result.unmatched} questions were left out: their answers are not in the index")
    split, training = result.split, result.training
    run.out.print(
        f"trained on {result.rows} pairs in {training.seconds:.0f} s ({training.device}, "
        f"{training.pairs_per_second:.1f} pairs/s, peak memory {training.peak_memory_mb} MB), "
        f"best epoch {training.best_epoch}",
        soft_wrap=True,
    )
    run.out.print(
        f"split by document: {split['train']} train, {split['dev']} dev, {split['test']} test"
    )
    run.out.print(
        comparison_table(result.comparison, title=f"{result.comparison.n} held-out questions")
    )
    seen = result.training_scores
    run.out.print(
        f"on the {seen.n} training questions themselves (no measure of quality): hit_rate@1 "
        f"{seen.base['hit_rate@1'].mean:.3f} -> {seen.tuned['hit_rate@1'].mean:.3f}",
        soft_wrap=True,
    )
    for flip in result.comparison.to_json()["flips"]:
        run.out.print(
            f"first {flip['k']}: {flip['fixed']} questions fixed, {flip['broken']} broken"
        )
    run.out.print(f"approximate search loses {result.search_loss:.1%} of the exact top 10")
    run.out.print(f"[bold]{result.comparison.verdict}[/bold]", soft_wrap=True)
    run.out.print(f"model {result.model}", soft_wrap=True)
    run.out.print(f"every question: {result.results}", soft_wrap=True)
    run.out.print(
        f"index {result.index} is in service; `rag-app index rollback` takes it back"
        if result.promoted
        else f"index {result.index} is not in service; `rag-app index use` puts it there",
        soft_wrap=True,
    )
