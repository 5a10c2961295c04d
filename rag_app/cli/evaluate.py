"""`evaluate`: indexes, models and retrievers side by side on one file of questions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from rag_app.cli.gate import (
    Baseline,
    FailIfWorse,
    GateOptions,
    Junit,
    Markdown,
    Outcomes,
    SmallestLoss,
    compare_stored,
    finish,
)
from rag_app.cli.given import columns_of, retrieval_of, workspace_of
from rag_app.cli.judgements import note_judgements
from rag_app.cli.report import report_on
from rag_app.cli.retrieval import open_tools, read_day
from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.evaluate.result import EvaluatedRun
    from rag_app.pairs import Unmatched

EXAMPLES = (
    "rag-app evaluate questions.jsonl",
    "rag-app evaluate questions.jsonl --index base --index tuned",
    "rag-app evaluate faq.csv --retriever exact --retriever hybrid:0.7",
    "rag-app evaluate questions.jsonl --baseline eval/main --fail-if-worse",
)


@command
def evaluate(
    run: Run,
    questions: Annotated[
        Path | None,
        typer.Argument(
            help="Questions with their answers: CSV, TSV, XLSX, JSONL, JSON or a BEIR folder."
        ),
    ] = None,
    *,
    index: Annotated[
        list[str] | None,
        typer.Option(help="Index to score; repeat the option to compare several. [in service]"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Embedding model to score on the chunks of the index in service; repeatable."
        ),
    ] = None,
    retriever: Annotated[
        list[str] | None,
        typer.Option(
            help="exact, vector (approximate search), keyword (BM25), hybrid:0.7, or with steps: "
            "hybrid:0.7+latest; repeatable. +questions searches the known questions too, each held "
            "out while it is asked. [exact: answers alone]"
        ),
    ] = None,
    verbatim: Annotated[
        bool,
        typer.Option(
            "--verbatim",
            help="With +questions: let a known question find itself, as in service; no measure "
            "for new wordings.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write every question's outcome to. [of its own, in the results]"
        ),
    ] = None,
    baseline: Baseline = None,
    outcomes: Outcomes = None,
    fail_if_worse: FailIfWorse = False,
    smallest_loss: SmallestLoss = None,
    junit: Junit = None,
    markdown: Markdown = None,
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
    """Score retrieval on questions with known answers; the first run is the baseline.

    A JSON dataset or a BEIR folder brings its own passages: if the index in service does not hold
    them, they are indexed by themselves, and the model in service is scored beside its base.

    With --baseline the run is held against an earlier one: `--fail-if-worse` exits 1 on a certain
    loss and 3 where the questions cannot tell.
    """
    gate = GateOptions(
        baseline=baseline,
        fail_if_worse=fail_if_worse,
        smallest_loss=smallest_loss,
        junit=junit,
        markdown=markdown,
    )
    gate.check(several=max(len([*(index or ()), *(model or ())]), len(retriever or ())) > 1)
    if questions is None or outcomes is not None:
        compare_stored(run, questions, outcomes, gate, seed=run.settings(seed=seed).seed)
        return
    settings = run.settings(
        question_column=question_column,
        answer_column=answer_column,
        seed=seed,
        where=where,
        fetch_k=fetch_k,
        rewrites=rewrites,
        today=read_day(today),
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
    )
    from rag_app.disk import refuse_unwritable
    from rag_app.evaluate.keeping import Keeping
    from rag_app.evaluate.request import EvaluateRequest
    from rag_app.evaluate.stage import evaluate_indexes
    from rag_app.evaluate.stored import RetrievalRun, RunSetting

    refuse_unwritable(out or settings.results, is_folder=True, make_parents=True)

    request = EvaluateRequest(
        questions=questions,
        indexes=index or (),
        models=model or (),
        usual_model=settings.model,
        retrievers=retriever or ("exact",),
        retrieval=retrieval_of(settings),
        columns=columns_of(settings),
        seed=settings.seed,
        verbatim=verbatim,
    )
    with open_tools(settings, request.retrievers) as tools:
        found = evaluate_indexes(
            workspace_of(settings), request, tools=tools, progress=run.progress, tell=run.note
        )
    runs, setting = found.runs, RunSetting.of_run(found.runs[-1].to_json())
    try:
        # Before this run is kept, since it may take the place of the earlier one.
        before = gate.read(like=setting)
    finally:
        kept = Keeping(settings.results, out).keep(found)
    note_judgements(run, questions)
    _note_choices(run, settings.results, runs)
    _warn(run, runs, found.unmatched)
    _show(run, runs)
    result = {**kept, **report_on(run, Path(kept["results"]))}
    now = RetrievalRun(questions, setting, runs[-1].outcomes, runs[-1].names)
    finish(run, gate, (now, before), seed=settings.seed, result=result)


def _warn_of_training(run: Run, runs: "Sequence[EvaluatedRun]") -> None:
    for model, count in dict.fromkeys((one.model, one.model_trained_on) for one in runs):
        if count:
            run.warn(
                f"{model} was trained on the documents of {count} of these questions; its scores "
                "on them say nothing about new ones"
            )
    learned = dict.fromkeys((one.retriever, one.retriever_trained_on) for one in runs)
    for retriever, count in learned:
        if count:
            run.warn(
                f"the reranker or the weights of {retriever} learned from {count} of these "
                "questions; its scores on them say nothing about new ones"
            )
    for unknown in dict.fromkeys(one.unknown_weights for one in runs):
        if unknown:
            run.warn(unknown)


def _note_choices(run: Run, results: Path, runs: "Sequence[EvaluatedRun]") -> None:
    """Say which questions chose a setting of a run in an earlier sweep."""
    from rag_app.evaluate.chosen_by import read_chosen

    asked = {outcome.question_id for outcome in runs[0].outcomes}
    notes: dict[str, None] = {}
    for sweep, chosen in read_chosen(results):
        count = len(asked & set(chosen.question_ids))
        for one in runs:
            what = chosen.chose(one.retriever, one.chunking.chunk_size if one.chunking else None)
            if what and count:
                notes[
                    f"{count} of these questions chose {what} in {sweep}; on them it looks better "
                    "than on new ones"
                ] = None
    for note in notes:
        run.note(note)


def _warn(run: Run, runs: "Sequence[EvaluatedRun]", unmatched: "Unmatched") -> None:
    if unmatched:
        run.warn(str(unmatched))
    _warn_of_training(run, runs)
    if len(runs[0].outcomes) == 1:
        run.warn("one question tells nothing about others; evaluate with some fifty or more")
    for one in runs:
        for warning, count in one.warnings.items():
            run.warn(f"{one.retriever}, {count} of {len(one.outcomes)} questions: {warning}")


def _show(run: Run, runs: "Sequence[EvaluatedRun]") -> None:
    from rag_app.cli.labels import LONGEST, run_labels
    from rag_app.cli.scores import runs_table

    labels = run_labels(runs, longest=LONGEST + max(run.out.width - 80, 0))
    named = [(label.short, one.scores) for label, one in zip(labels, runs, strict=True)]
    asked, training = len(runs[0].outcomes), max(one.trained_on for one in runs)
    title = f"{asked} questions" + (f", {training} of them training questions" if training else "")
    run.out.print(runs_table(named, title=title), "")
    for number, label in enumerate(labels):
        baseline = " (the baseline)" if number == 0 and len(runs) > 1 else ""
        run.say(f"{label.short}: {label.meaning}{baseline}")
    for one, label in zip(runs, labels, strict=True):
        if one.known_label == "verbatim":
            run.say(
                f"{label.short}: verbatim; {one.known} of {asked} questions are known to the "
                "index and find themselves, which is no measure for new wordings"
            )
        elif one.known_label:
            run.say(
                f"{label.short}: held out; {one.known} of {asked} questions are known to the "
                "index, each left out while it is asked"
            )
    for one, label in zip(runs[1:], labels[1:], strict=True):
        if one.against_first:
            said = f"no verdict: {one.no_verdict}" if one.no_verdict else one.against_first.verdict
            run.say(f"{label.short} against {labels[0].short}: {said}")
