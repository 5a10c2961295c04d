"""`sweep`: chunk sizes, models and retrievers compared, and one of them recommended."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_app.cli.bases import show_bases
from rag_app.cli.flags import (
    AnswerColumn,
    FetchK,
    Llm,
    LlmBaseUrl,
    LlmModel,
    QuestionColumn,
    Rewrites,
    Seed,
    Today,
    Where,
)
from rag_app.cli.given import columns_of, language_model_of, retrieval_of, workspace_of
from rag_app.cli.judgements import note_judgements
from rag_app.cli.printing import shown
from rag_app.cli.report import report_on
from rag_app.cli.retrieval import open_tools, read_day
from rag_app.cli.run import Run, command
from rag_app.cli.scores import figure, head, signed
from rag_app.cli.tables import TextTable, table
from rag_app.errors import ConfigError
from rag_app.evaluate.figures import p_value

if TYPE_CHECKING:
    from rag_app.sweep.grid import Grid
    from rag_app.sweep.result import Row, SweepResult
    from rag_app.sweep.scoring import Candidate

SHOWN = ("hit_rate@1", "hit_rate@3", "mrr@10")


EXAMPLES = (
    "rag-app sweep --questions questions.jsonl",
    "rag-app sweep --chunk-sizes 128,256,512 --retriever vector --retriever hybrid:auto",
    "rag-app sweep --models MODEL,OTHER --chunk-sizes 256 --retriever vector --tune",
    "rag-app sweep --no-promote",
)
CHOICE = "Choice"


@command
def sweep(
    run: Run,
    *,
    questions: Annotated[
        Path | None,
        typer.Option(help="Questions with their answers. [those of `rag-app questions`]"),
    ] = None,
    chunk_sizes: Annotated[
        str | None,
        typer.Option(help="Chunk sizes in tokens, comma-separated. [128,256,512,1024]"),
    ] = None,
    retriever: Annotated[
        list[str] | None,
        typer.Option(
            help="Retriever, as in `rag-app query`; repeatable. [vector, keyword, hybrid:auto, "
            "hybrid:learned]"
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--models",
            "--model",
            help="Embedding models, comma-separated or repeated. [the current index's]",
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Tune each model too (quick preset), and judge it on the same questions; only "
            "measures.",
            rich_help_panel=CHOICE,
        ),
    ] = False,
    no_promote: Annotated[
        bool,
        typer.Option(
            "--no-promote", help="Only measure: put nothing into service, write no settings."
        ),
    ] = False,
    chunk_overlaps: Annotated[
        str | None,
        typer.Option(
            help="Overlaps in tokens, comma-separated. [an eighth of each size]",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with lists named chunk_sizes, chunk_overlaps, models, retrievers.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(
            help="Index whose setting is the baseline. [in service]", rich_help_panel=CHOICE
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric to choose by. [hit_rate@1024t, or mrr@10 where all chunk sizes are equal]",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    budget: Annotated[
        int,
        typer.Option(
            min=64,
            help="Token budget of the retrieved context, to compare chunk sizes at equal cost.",
            rich_help_panel=CHOICE,
        ),
    ] = 1024,
    test_share: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=0.9,
            help="Share of the questions that report; the others (dev) choose.",
            rich_help_panel=CHOICE,
        ),
    ] = 0.5,
    where: Where = None,
    fetch_k: FetchK = None,
    today: Today = None,
    rewrites: Rewrites = None,
    llm: Llm = None,
    llm_base_url: LlmBaseUrl = None,
    llm_model: LlmModel = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
    seed: Seed = None,
) -> None:
    """Compare chunk sizes, models and retrievers on your questions; put the winner into service.

    Half of the questions (dev) choose a setting, the other half say what it brings. Each chunk size
    is embedded once and kept.
    """
    settings = run.settings(
        where=where,
        fetch_k=fetch_k,
        rewrites=rewrites,
        today=read_day(today),
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        question_column=question_column,
        answer_column=answer_column,
        seed=seed,
    )
    from rag_app.sweep.request import SweepRequest
    from rag_app.sweep.stage import sweep as sweep_stage

    chosen = _grid(grid, chunk_sizes, chunk_overlaps, models, retriever)
    request = SweepRequest(
        grid=chosen,
        questions=questions,
        index=index,
        budget_tokens=budget,
        metric=metric,
        test_share=test_share,
        promote=not no_promote,
        tune=tune,
        retrieval=retrieval_of(settings),
        columns=columns_of(settings),
        llm=language_model_of(settings),
        seed=settings.seed,
        results=settings.results,
    )
    with open_tools(settings, (settings.retriever, *chosen.retrievers)) as tools:
        result = sweep_stage(
            workspace_of(settings), request, tools=tools, progress=run.progress, tell=run.note
        )
    note_judgements(run, questions)
    show_sweep(run, result)
    run.result({**result.to_json(), **report_on(run, result.results)})


def _grid(
    path: Path | None,
    sizes: str | None,
    overlaps: str | None,
    models: list[str] | None,
    retrievers: list[str] | None,
) -> "Grid":
    from rag_app.sweep.grid import Grid, read_grid

    given: dict[str, Any] = {
        "chunk_sizes": _numbers("--chunk-sizes", sizes),
        "chunk_overlaps": _numbers("--chunk-overlaps", overlaps),
        "models": _names(models) if models else None,
        "retrievers": tuple(retrievers) if retrievers else None,
    }
    start = read_grid(path) if path else Grid()
    return replace(start, **{key: value for key, value in given.items() if value is not None})


def _names(given: list[str]) -> tuple[str, ...]:
    names = [name.strip() for text in given for name in text.split(",")]
    return tuple(name for name in names if name)


def _numbers(flag: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"{flag} is {text!r}; it takes numbers with commas, as in 128,256")
    return tuple(map(int, parts))


def show_sweep(run: Run, result: "SweepResult") -> None:
    """All that `sweep` prints of what it found; what goes into service is written as settings."""
    if result.unmatched:
        run.warn(str(result.unmatched))
    for refit, judged in result.refits.items():
        run.say(
            f"{refit} was trained on all pairs; the scores are those of {judged}, which was judged "
            "before"
        )
    if result.trained_on:
        run.warn(
            f"{result.trained_on} questions were left out: a tuned model was trained on their "
            "documents, or the learned weights of the present setting on them"
        )
    _warn_of_long_chunks(run, result)
    for name, reason in result.learned.items():
        run.note(f"{name}: {reason}")
    split = result.split
    run.say(
        f"settings chosen on {split['dev']} questions by {head(result.metric)}, "
        f"scored on {split['test']} others:"
    )
    # Two tables, since one would be wider than a terminal.
    run.out.print(_scores(result), "")
    run.out.print(_changes(result), "")
    _explain(run, result)
    run.say(f"recommended: {result.choice.reason}" if result.choice.wins else result.choice.reason)
    if result.bases is not None:
        show_bases(run, result.bases)
    run.say(f"every question: {result.results}")
    if result.promoted:
        _keep_settings(run, result)


def _keep_settings(run: Run, result: "SweepResult") -> None:
    from rag_app.sweep.settings_file import write_settings

    write_settings(run.settings_file, result.settings)
    index = result.choice.best.built.index.name
    present = result.rows[0].candidate.setting.retrieval
    was = replace(present, questions=result.known_first).spec
    back = (
        f'write retriever = "{was}" there'
        if index == result.before
        else f"`rag-app index use {result.before}`, and take {', '.join(result.settings)} out of "
        f"{run.settings_file}"
    )
    run.say(
        f"index {index} is in service and {run.settings_file} has the setting; to go back: {back}"
    )


def _warn_of_long_chunks(run: Run, result: "SweepResult") -> None:
    built = [row.candidate.built for row in result.rows]
    models = {one.model.name: one.model for one in built}
    for name, model in models.items():
        # Passages that are not cut may all be short.
        cut = [one.index.info.chunking for one in built if one.model is model]
        sizes = {chunking.chunk_size for chunking in cut if not chunking.is_whole}
        long = ", ".join(str(size) for size in sorted(sizes) if size > model.max_tokens)
        if long:
            run.warn(
                f"{name} reads {model.max_tokens} tokens of a text: of chunks of {long} tokens "
                "its search does not see the ends"
            )


def _scores(result: "SweepResult") -> TextTable:
    budget = next(metric for metric in result.rows[0].scores if metric.endswith("t"))
    metrics = list(dict.fromkeys((*SHOWN, budget, result.metric)))
    rows = [
        (
            shown(_name(row.candidate, result)),
            *(figure(row.scores[metric].mean) for metric in metrics),
        )
        for row in result.rows
    ]
    least = [head(metric) for metric in metrics if metric != result.metric]
    return table((_header(result), *map(head, metrics)), rows, least=least)


def _changes(result: "SweepResult") -> TextTable:
    rows = []
    for row in result.rows:
        one = row.candidate
        size = one.built.megabytes
        rows.append(
            (
                shown(_name(one, result)),
                *_change(row, result),
                str(len(one.built.passages.nodes)),
                "" if size is None else f"{size:.0f}",
                f"{one.milliseconds or 0:.0f}",
            )
        )
    heads = (_header(result), f"{head(result.metric)}, change", "p", "chunks", "MB", "ms")
    return table(heads, rows, least=("chunks", "MB", "ms", "p"))


def _change(row: "Row", result: "SweepResult") -> tuple[str, str]:
    name = row.candidate.setting.name
    change = result.choice.changes.get(name)
    if change is None:
        return "(current)", ""
    interval = f"[{signed(change.low)}, {signed(change.high)}]"
    return f"{signed(change.mean)} {interval}", p_value(result.choice.adjusted[name], figure)


def _explain(run: Run, result: "SweepResult") -> None:
    if result.metric.endswith("t"):
        run.say(
            f"{head(result.metric)}: the answer is among the top passages that fit into "
            f"{result.metric.rpartition('@')[2][:-1]} tokens"
        )
    run.say("p: Holm-adjusted for the number of settings; ms: latency per question")


def _header(result: "SweepResult") -> str:
    return "model, tokens/overlap" if _models(result) > 1 else "tokens/overlap"


def _name(candidate: "Candidate", result: "SweepResult") -> str:
    setting = candidate.setting
    return setting.name if _models(result) > 1 else setting.label


def _models(result: "SweepResult") -> int:
    return len({row.candidate.setting.model for row in result.rows})
