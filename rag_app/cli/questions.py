"""`questions`: synthetic questions for the chunks of an index."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.flags import DATA, LANGUAGE_MODEL, Llm, LlmBaseUrl, LlmModel, Seed
from rag_app.cli.given import language_model_of, workspace_of
from rag_app.cli.run import Run, command
from rag_app.cli.tables import table

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.questions import QuestionsReport
    from rag_app.questions.cost import Cost, Price


EXAMPLES = (
    "rag-app questions --per-chunk 1",
    "rag-app questions --show",
    "rag-app questions --llm-base-url http://localhost:8000/v1 --llm-model qwen3",
)
WORDING = "How people ask"
# Of a passage's title or first line, beside a question.
LONGEST_TITLE = 60


@command
def questions(
    run: Run,
    *,
    per_chunk: Annotated[
        int, typer.Option(min=1, help="Questions to generate for each chunk.")
    ] = 2,
    show: Annotated[
        bool, typer.Option("--show", help="List the questions generated so far; generate none.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most chunks to generate for, spread over the index. [all]"),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            help="File of your own questions with answers, whose first eight set the style.",
            rich_help_panel=WORDING,
        ),
    ] = None,
    query_log: Annotated[
        Path | None,
        typer.Option(
            help="File of your users' queries without answers, one a line or a .csv with a column "
            "`query`, which set the style.",
            rich_help_panel=WORDING,
        ),
    ] = None,
    styles: Annotated[
        str | None,
        typer.Option(
            help="Ways to ask and their shares, 1 together, of question, keywords, claim, problem "
            "and title; without a language model which of question, title, sentence and keywords "
            "are taken from the text. [question=1]",
            rich_help_panel=WORDING,
        ),
    ] = None,
    judge: Annotated[
        bool,
        typer.Option(
            "--judge",
            help="Let the language model drop questions their passage does not answer.",
            rich_help_panel=LANGUAGE_MODEL,
        ),
    ] = False,
    price_per_million: Annotated[
        str | None,
        typer.Option(
            metavar="IN,OUT",
            help="The endpoint's price for a million tokens read and written, to show the cost "
            "before it starts.",
            rich_help_panel=LANGUAGE_MODEL,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the kept pairs to a .jsonl, .csv or .json file or a BEIR folder."),
    ] = None,
    index: Annotated[
        str | None, typer.Option(help="Index to generate for. [in service]", rich_help_panel=DATA)
    ] = None,
    llm: Llm = None,
    llm_base_url: LlmBaseUrl = None,
    llm_model: LlmModel = None,
    seed: Seed = None,
) -> None:
    """Write questions that the chunks answer, for `finetune` to train on.

    Run it again at any time: only chunks that lack questions are asked for. Questions that do not
    find their own passage, copy it, leak the prompt or repeat each other are dropped and counted.
    """
    settings = run.settings(
        llm=llm,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        seed=seed,
    )
    if show:
        _list(run, settings, index)
        return
    from rag_app.pairs import read_questions, refuse_output, write_pairs
    from rag_app.questions import WritingOptions, to_pairs, write_questions
    from rag_app.questions.cost import read_price
    from rag_app.questions.query_log import read_query_log
    from rag_app.questions.styles import read_shares

    if out:
        # Before the questions are written, which takes long.
        refuse_output(out)
    price = read_price(price_per_million) if price_per_million else None
    named = {"question_column": settings.question_column, "answer_column": settings.answer_column}
    report = write_questions(
        workspace_of(settings).open(index),
        storage=settings.storage,
        llm=language_model_of(settings),
        per_chunk=per_chunk,
        limit=limit,
        writing=WritingOptions(
            examples=read_questions(examples, **named) if examples else (),
            query_log=read_query_log(query_log) if query_log else (),
            styles=read_shares(styles) if styles is not None else None,
            judge=judge,
            announce=lambda cost: run.say(cost_in_words(cost, price)),
        ),
        seed=settings.seed,
        progress=run.progress,
    )
    if out:
        write_pairs(out, to_pairs(report.questions), report.nodes)
    show_questions(run, report)
    if out:
        run.say(f"{report.kept} pairs written to {out}")
    run.say("`rag-app questions --show` lists them; `rag-app finetune` trains on them")
    run.result(report.to_json())


def show_questions(run: Run, report: "QuestionsReport") -> None:
    """What was written, kept and dropped."""
    if not report.by_language_model:
        run.warn(
            "no language model wrote these questions: they are headings, FAQ lines, sentences and "
            "key words of the text itself. A language model asks in other words: "
            "`pip install 'rag-app[local-llm]'`, or name an endpoint with --llm-base-url"
        )
    rows = [("kept", str(report.kept)), *((why, str(n)) for why, n in report.dropped.items())]
    run.out.print(table((f"by {report.generator}", "questions"), rows))
    run.say(f"index {report.index}: {_asked(report)}")


def cost_in_words(cost: "Cost", price: "Price | None" = None) -> str:
    """What an endpoint will be asked for, said before it is asked."""
    said = (
        f"{cost.passages} passages lack questions: {cost.requests} requests, about "
        f"{cost.tokens_read} tokens read, at most {cost.tokens_written} written"
    )
    return f"{said}; at most {cost.money(price):.4f} at that price" if price else said


def _asked(report: "QuestionsReport") -> str:
    new = report.chunks - report.resumed
    if not new:
        return f"all {report.chunks} chunks had their questions already; none generated"
    were = (
        f"all {new} chunks were new"
        if not report.resumed
        else (f"{new} of {report.chunks} chunks were new")
    )
    return f"{were}, {report.asked} questions asked for in {report.seconds:.0f} s"


def _list(run: Run, settings: "Settings", name: str | None) -> None:
    """Print what was generated for an index and kept, under the passages that answer it."""
    from rag_app.questions import usable_questions

    opened = replace(workspace_of(settings), without_torch=True).open(name)
    index, passages = opened.index, opened.index.passages()
    llm = language_model_of(settings)
    kept = usable_questions(settings.storage, llm, passages, opened.model)
    nodes = {node.node_id: node for node in passages.nodes}
    last = ""
    for question in kept:
        node = nodes[question.chunk_id]
        if question.chunk_id != last:
            title = str(node.metadata.get("title") or node.text.strip().splitlines()[0])
            run.say(f"{title[:LONGEST_TITLE]}  ({question.document_id})", style="bold")
            last = question.chunk_id
        run.say(f"    {question.question}")
    if not kept:
        run.say(f"no questions for index {index.name} yet; run `rag-app questions`")
    run.result({"index": index.name, "questions": [asdict(question) for question in kept]})
