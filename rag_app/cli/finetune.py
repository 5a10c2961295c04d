"""`finetune`: tune the embedding model and say whether it helped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.flags import (
    DATA,
    AnswerColumn,
    Device,
    Dimensions,
    Preset,
    QuestionColumn,
    Seed,
)
from rag_app.cli.given import columns_of, language_model_of, pairs_of, workspace_of
from rag_app.cli.judgements import note_judgements
from rag_app.cli.report import report_on
from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.finetune.request import FinetuneRequest

EXAMPLES = (
    "rag-app finetune --pairs faq.csv",
    "rag-app finetune --pairs questions.jsonl --train-on both --preset quick",
    "rag-app finetune --pairs pairs.jsonl --loss dae,mnrl --method lora --no-promote",
)
SMALLEST_BATCH = 2
TRAINING, NEGATIVES = "Training", "Negatives"
EMBEDDING, RERANKER = WHAT = ("embedding", "reranker")


@command
def finetune(
    run: Run,
    *,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Labelled question/passage pairs: CSV, TSV, XLSX, JSONL, JSON or a BEIR folder; "
            "feedback: judgements kept by query and serve. [generated questions]"
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Labelled questions that give the verdict; pairs that ask the same are not "
            "trained on. [a share of the pairs; of a BEIR folder qrels/test.tsv]",
            rich_help_panel=DATA,
        ),
    ] = None,
    train_on: Annotated[
        str | None,
        typer.Option(help="labelled, synthetic or both. [labelled with --pairs, else synthetic]"),
    ] = None,
    preset: Preset = None,
    index: Annotated[
        str | None, typer.Option(help="Index to start from; its base model is tuned. [in service]")
    ] = None,
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Only measure: put nothing into service.")
    ] = False,
    what: Annotated[
        str,
        typer.Option(
            help="embedding, or reranker: a cross-encoder that reads candidates again.",
            rich_help_panel=TRAINING,
        ),
    ] = EMBEDDING,
    base: Annotated[
        str | None,
        typer.Option(
            help="Model that a reranker is trained from, by name or folder. [the index's]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    fetch_k: Annotated[
        int | None,
        typer.Option(
            help="Candidates of a question that a reranker is judged on. [20]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model to tune, where the pairs bring their own passages (JSON, BEIR).",
            rich_help_panel=DATA,
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            help="mnrl, triplet, dae (denoising), or several one after the other: dae,mnrl. [mnrl]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="full (all layers, not the word embeddings), lora, adapter (a linear map on query "
            "vectors), or weights and adapter: lora,adapter. [full,adapter]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the training pairs. [5; reranker: 3]", rich_help_panel=TRAINING
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Pairs in a batch; auto: halved where memory is short. [32; reranker: 4]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    mini_batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pairs in one forward pass (gradient caching). [32]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Peak learning rate. [5e-5; reranker: 1e-4]", rich_help_panel=TRAINING
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Scale (1/temperature) of the MNRL loss. [the model family's]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=16,
            help="Maximum sequence length in training. [the model's]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    blend: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Weight interpolation: share of the tuned weights, the rest is the base's. [1]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    whitening: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Largest share of whitening that the query adapter may start from. [1]",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    negatives: Annotated[
        str,
        typer.Option(
            help="Negatives besides those of the batch: none, random or mined (hard); a reranker's "
            "are mined.",
            rich_help_panel=NEGATIVES,
        ),
    ] = "none",
    negatives_per_pair: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Random or mined negatives for each pair. [1; reranker: 4]",
            rich_help_panel=NEGATIVES,
        ),
    ] = None,
    held_out: Annotated[
        str,
        typer.Option(
            help="What is new about a held-out question: documents (new questions about new "
            "documents), questions (about passages that other questions are trained on) or both. "
            "auto: both where enough passages have several questions.",
            rich_help_panel=DATA,
        ),
    ] = "auto",
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Cross-validation: every question is held out once, in one of so many trainings. "
            "[one split]",
            rich_help_panel=DATA,
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1, help="Cross-validate so often, with other folds.", rich_help_panel=DATA
        ),
    ] = 1,
    retriever: Annotated[
        str,
        typer.Option(
            help="Retriever of the tuned model, which the verdict is about: vector, hybrid:0.7, "
            "hybrid:equal or hybrid:learned (weights learned on the training questions); the "
            "base's is vector.",
            rich_help_panel=DATA,
        ),
    ] = "vector",
    no_refit: Annotated[
        bool,
        typer.Option(
            "--no-refit",
            help="Put the judged model into service, not one trained again on all pairs.",
            rich_help_panel=DATA,
        ),
    ] = False,
    dev_share: Annotated[
        float,
        typer.Option(help="Share of the pairs that chooses the checkpoint.", rich_help_panel=DATA),
    ] = 0.1,
    test_share: Annotated[
        float,
        typer.Option(
            help="Share of the pairs held out for the verdict; with --held-out both half as many "
            "again, by question. --folds hold out each once.",
            rich_help_panel=DATA,
        ),
    ] = 0.3,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Metadata key whose documents stay in one part of the split. [each document]",
            rich_help_panel=DATA,
        ),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(
            help="Out-of-domain questions with passages: a model that certainly gets worse on "
            "them is weakened, and held if that does not help. Or report (only measure, on the "
            "sample data), or none. [the sample data]",
            metavar="FILE|report|none",
            rich_help_panel=DATA,
        ),
    ] = None,
    report_to: Annotated[
        str | None,
        typer.Option(
            help="Tracker of training curves: tensorboard, mlflow, wandb or trackio.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    dimensions: Dimensions = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
    device: Device = None,
    seed: Seed = None,
) -> None:
    """Train on question/passage pairs, score before and after on held-out questions, and put the
    tuned index into service if it won. A reranker is only measured and kept.

    Without --pairs the questions come from `rag-app questions`. What is held out is never trained
    on before the verdict; after a promotion the same training runs on all pairs.
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
        seed=seed,
    )
    from rag_app.cli.tuning import show_tuning
    from rag_app.errors import refuse_unknown
    from rag_app.evaluate.canary import CanaryOptions
    from rag_app.finetune.options import NegativeOptions, TrainingOptions
    from rag_app.finetune.presets import (
        DEFAULT,
        QUICK,
        RERANKER_DEFAULT,
        RERANKER_NEGATIVES,
    )
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.pairs import SplitOptions
    from rag_app.retrieve import RetrievalOptions
    from rag_app.retrieve.options import KEPT

    refuse_unknown("--what", what, WHAT)
    of_embedding = {
        "--loss": loss,
        "--method": method,
        "--scale": scale,
        "--mini-batch": mini_batch,
        "--blend": blend,
        "--whitening": whitening,
        "--preset": preset,
        "--canary": canary,
        "--folds": folds,
        "--no-promote": no_promote,
        "--no-refit": no_refit,
        "--negatives": negatives not in ("none", "mined"),
        "--retriever": retriever != "vector",
        "--batch-size auto": batch_size == "auto",
    }
    of_reranker = {"--base": base, "--fetch-k": fetch_k}
    reranker = what == RERANKER
    defaults, per_pair = (RERANKER_DEFAULT, RERANKER_NEGATIVES) if reranker else (DEFAULT, 1)
    _refuse_others(of_embedding if reranker else of_reranker, reranker=reranker)
    given = {
        "loss": loss,
        "method": method,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "scale": scale,
        "max_tokens": max_tokens,
        "mini_batch": mini_batch,
        "blend": blend,
        "whitening": whitening,
        **_batch_size(batch_size),
    }
    options = {key: value for key, value in given.items() if value is not None}
    workspace = workspace_of(settings)
    if dimensions is not None:
        own = model or workspace.base_model(index) or settings.model
        model = workspace.cut_model(own, dimensions)
    request = FinetuneRequest(
        pairs=pairs_of(settings, pairs),
        test=test,
        train_on=train_on,  # type: ignore[arg-type]
        index=index,
        model=model,
        usual_model=settings.model,
        options=TrainingOptions(
            **{**defaults, **options},
            negatives=NegativeOptions(
                "mined" if reranker else negatives,  # type: ignore[arg-type]
                negatives_per_pair or per_pair,
            ),
            seed=settings.seed,
        ),
        split=SplitOptions(
            dev_share=dev_share,
            test_share=test_share,
            group_by=group_by,
            held_out=held_out,  # type: ignore[arg-type]
            folds=folds,
            repeats=repeats,
        ),
        # All that quick says is how many epochs.
        preset=None if preset == QUICK and epochs else preset,
        canary=CanaryOptions.of(canary),
        retrieval=RetrievalOptions.parse(retriever),
        promote=not no_promote,
        refit=not no_refit,
        columns=columns_of(settings),
        llm=language_model_of(settings),
        report_to=report_to,
        results=settings.results,
    )
    note_judgements(run, request.pairs, to_train=True)
    note_judgements(run, request.judged_by)
    if reranker:
        from rag_app.cli.reranker import tune

        tune(run, workspace, request, base=base, fetch_k=fetch_k)
        _show_curves(run, request, settings.storage)
        return
    from rag_app.finetune.stage import finetune as finetune_stage

    result = finetune_stage(workspace, request, progress=run.progress, tell=run.note)
    show_tuning(run, result)
    if result.promoted and settings.retriever != KEPT:
        run.warn(
            f"`query` takes retriever = {settings.retriever!r} from your settings, which was not "
            "judged; without it, it takes the one that the index keeps"
        )
    _show_curves(run, request, settings.storage)
    run.result({**result.to_json(), **report_on(run, result.results)})


def _show_curves(run: Run, request: "FinetuneRequest", storage: Path) -> None:
    """Where training curves are, if they were asked for."""
    from rag_app.finetune.curves import TRACKERS

    if request.report_to is not None:
        look = TRACKERS[request.report_to].look.format(folder=storage / "curves")
        run.say(f"training curves: `{look}`")


def _refuse_others(flags: dict[str, Any], *, reranker: bool) -> None:
    """Refuse what only tunes the other kind of model."""
    from rag_app.errors import ConfigError

    for flag, asked in flags.items():
        if asked is not None and asked is not False:
            kind = "only for an embedding" if reranker else "only for --what reranker"
            raise ConfigError(f"{flag} is {kind}; leave it out")


def _batch_size(text: str | None) -> dict[str, Any]:
    from rag_app.errors import ConfigError

    if text is None:
        return {}
    if text == "auto":
        return {"batch_can_fall": True}
    if not (text.isascii() and text.isdigit()) or int(text) < SMALLEST_BATCH:
        raise ConfigError(
            f"--batch-size is {text!r}; it takes auto, or a number of {SMALLEST_BATCH} or more"
        )
    return {"batch_size": int(text)}
