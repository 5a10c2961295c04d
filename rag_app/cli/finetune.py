"""`finetune`: tune the embedding model and say whether it helped."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.finetune.options import TrainingReport
    from rag_app.finetune.request import FinetuneResult

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
    model: Annotated[
        str | None,
        typer.Option(help="Model to tune, where the pairs bring their passages (JSON, BEIR)."),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="mnrl, triplet, dae, or several in turn: dae,mnrl. [mnrl]")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="full, lora, top (last layers), adapter (a map on questions), or two in turn. "
            "[full,adapter]"
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick: in minutes; or best: search on dev within --minutes.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="For --preset best.")] = 30.0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the pairs. [5]")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Pairs in a batch, or auto: falls with the memory. [32]")
    ] = None,
    mini_batch: Annotated[
        int | None, typer.Option(min=1, help="Pairs that pass through the model at once. [32]")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0.0, help="At its peak. [5e-5]")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(min=0.1, help="1/temperature of mnrl. [the model family's]")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=16, help="Training cuts texts here. [where the model does]")
    ] = None,
    top_layers: Annotated[
        int | None, typer.Option(min=1, help="Layers that --method top trains. [2]")
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(help="Share of the tuned weights, the base's the rest; auto: by dev. [0.5]"),
    ] = None,
    whitening: Annotated[
        str | None,
        typer.Option(help="Share of it that an adapter begins with; auto: by dev. [1]"),
    ] = None,
    negatives: Annotated[
        str, typer.Option(help="Besides the batch: none, random or mined (hard ones).")
    ] = "none",
    negatives_per_pair: Annotated[int, typer.Option(min=1, help="Of these.")] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Times that mined negatives are chosen anew.")
    ] = 1,
    second_opinion: Annotated[
        str,
        typer.Option(
            help="On labels: none, agreement (of BM25 and the model), or a cross-encoder."
        ),
    ] = "none",
    canary: Annotated[
        Path | None,
        typer.Option(help="Questions and passages from elsewhere. [the sample data]"),
    ] = None,
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
    from rag_app.finetune.train.processes import is_follower

    if is_follower():
        from rag_app.finetune.train.run import follow

        follow()
        return
    settings = run.settings(
        question_column=question_column,
        answer_column=answer_column,
        device=device,
        chroma_url=chroma_url,
    )
    from rag_app.errors import ConfigError
    from rag_app.finetune.data.material import SplitOptions
    from rag_app.finetune.data.negatives import KINDS, NegativeOptions
    from rag_app.finetune.options import TrainingOptions
    from rag_app.finetune.presets import DEFAULT, PRESETS, QUICK
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.stage import finetune as finetune_stage

    kind = train_on or ("labelled" if pairs else "synthetic")
    for flag, value, known in (
        ("--train-on", kind, TRAIN_ON),
        ("--preset", preset, (None, *PRESETS)),
        ("--negatives", negatives, KINDS),
    ):
        if value not in known:
            names = ", ".join(filter(None, known))
            raise ConfigError(f"{flag} is {value!r}; it takes one of: {names}")
    given = {
        "loss": loss,
        "method": method,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "scale": scale,
        "max_tokens": max_tokens,
        "mini_batch": mini_batch,
        "top_layers": top_layers,
        **_batch_size(batch_size),
    }
    options = {
        **{key: value for key, value in given.items() if value is not None},
        **_share("blend", blend),
        **_share("whitening", whitening),
    }
    request = FinetuneRequest(
        pairs=pairs,
        train_on=kind,  # type: ignore[arg-type]
        index=index,
        model=model,
        options=TrainingOptions(**{**DEFAULT, **options}, seed=settings.seed),
        split=SplitOptions(dev_share=dev_share, test_share=test_share, group_by=group_by),
        negatives=NegativeOptions(negatives, negatives_per_pair, rounds),  # type: ignore[arg-type]
        second_opinion=second_opinion,
        # All that quick says is how many epochs.
        preset=None if preset == QUICK and epochs else preset,
        minutes=minutes,
        canary=canary,
        promote=not no_promote,
    )
    result = finetune_stage(settings, request, progress=run.progress, tell=run.note)
    _show(run, result)
    run.result(result.to_json())


def _batch_size(text: str | None) -> dict[str, Any]:
    if text == "auto":
        return {"batch_can_fall": True}
    return {"batch_size": _number("--batch-size", text, int, 2)} if text else {}


def _share(name: str, text: str | None) -> dict[str, Any]:
    if text == "auto":
        return {name: None}
    return {name: _number(f"--{name}", text, float, 0.0, 1.0)} if text else {}


def _number(flag: str, text: str, kind: type[float], least: float, most: float = math.inf) -> float:
    from rag_app.errors import ConfigError

    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        upto = f" to {most:g}" if most < math.inf else " or more"
        raise ConfigError(f"{flag} is {text!r}; it takes auto, or a number of {least:g}{upto}")
    return value


def _show(run: Run, result: "FinetuneResult") -> None:
    from rag_app.cli.scores import comparison_table

    _show_left_out(run, result)
    for tried in result.tried:
        run.out.print(
            f"tried {tried.candidate}, {tried.epochs} epochs, blend {tried.blend:g}: "
            f"dev MRR@10 {tried.dev_mrr:.3f} ({tried.seconds:.0f} s)"
            + (", chosen" if tried.chosen else "")
            + (", but it loses on questions from elsewhere" if tried.harmful else ""),
            soft_wrap=True,
        )
    split, training = result.split, result.training
    run.out.print(
        f"trained on {result.rows} pairs in {training.seconds:.0f} s ({training.device}, "
        f"{training.pairs_per_second:.1f} pairs/s, peak memory {training.peak_memory_mb} MB), "
        f"best epoch {training.best_epoch}" + _map_on_questions(training),
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
    _show_canary(run, result)
    run.out.print(f"approximate search loses {result.search_loss:.1%} of the exact top 10")
    run.out.print(f"[bold]{result.verdict}[/bold]", soft_wrap=True)
    run.out.print(f"model {result.model}", soft_wrap=True)
    run.out.print(f"every question: {result.results}", soft_wrap=True)
    run.out.print(
        f"index {result.index} is in service; `rag-app index rollback` takes it back"
        if result.promoted
        else f"index {result.index} is not in service; `rag-app index use` puts it there",
        soft_wrap=True,
    )


def _map_on_questions(training: "TrainingReport") -> str:
    if training.map_did_harm:
        return ", no map on questions: it did certain harm to questions from elsewhere"
    if training.whitening is None:
        return ""
    return f", map on questions: whitening {training.whitening:g}"


def _show_left_out(run: Run, result: "FinetuneResult") -> None:
    if result.unmatched:
        run.warn(str(result.unmatched))
    if result.echoes:
        run.warn(
            f"{result.echoes} questions were left out: they repeat the passage that answers them, "
            "which teaches nothing and makes scores too good; ask in other words"
        )
    if result.doubted:
        run.out.print(f"a second opinion took {result.doubted} pairs out of training")
    cut = result.cut
    if cut.count:
        mend = (
            f"train with a larger --max-tokens than {cut.max_tokens}"
            if cut.max_tokens < cut.model_max_tokens
            else f"the model reads no more; run `rag-app ingest PATH --chunk-size {cut.max_tokens}`"
        )
        run.warn(
            f"{cut.count} of {cut.of} passages are longer than the {cut.max_tokens} tokens that "
            f"training read of each, and their ends were not learned from: {mend}"
        )


def _show_canary(run: Run, result: "FinetuneResult") -> None:
    if result.canary is None:
        run.out.print("no canary: no questions from elsewhere; name some with --canary")
        return
    before, after = result.canary.base["mrr@10"], result.canary.tuned["mrr@10"]
    change = result.canary.differences["mrr@10"]
    run.out.print(
        f"canary, {result.canary.n} questions from elsewhere: mrr@10 {before.mean:.3f} -> "
        f"{after.mean:.3f} ({change.mean:+.3f} \\[{change.low:+.3f}, {change.high:+.3f}])",
        soft_wrap=True,
    )
