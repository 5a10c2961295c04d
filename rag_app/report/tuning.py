"""The report of a tuning: embedding model or reranker, before and after on held-out questions."""

from collections.abc import Iterable, Sequence

from rag_app.evaluate.figures import change_with_interval, with_interval
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.report.at_fault import at_fault_section
from rag_app.report.blocks import Block, Paragraph, Report, Section, Table
from rag_app.report.compared import Compared, Side
from rag_app.report.groups import groups_section
from rag_app.report.loading import loading_section
from rag_app.report.origin import origin_section
from rag_app.report.sections import curve_section, question_section, rank_section, scores_section
from rag_app.report.stored import StoredRun
from rag_app.report.training import canary_section, cost_section, data_section, training_section
from rag_app.report.values import FinetuneValues
from rag_app.text.counts import counted

ASKED = {
    "documents": "new questions about new documents",
    "questions": "new questions about known documents",
}
PROMISES = {
    "documents": "new questions about documents that training never saw",
    "questions": "new questions about the documents that were tuned on",
}
NOT_JUDGED = (
    "What is in service was trained again on all pairs, as the judged model was on a part: the "
    "scores are those of the judged one, since no question is left to judge the other by."
)
REPEATED = (
    "Repeats asked questions more than once, each time of another training: scores are means over "
    "all, and figures and lists below count each time."
)


def report_of_finetune(run: StoredRun, values: FinetuneValues) -> Report:
    """All that a tuning measured."""
    compared = [_compared(run, values, what) for what in values.held_out]
    first = compared[0]
    questions = {one.question_id: one.question for each in compared for one in each.after.outcomes}
    found: Iterable[Section | None] = (
        scores_section("Base against tuned", compared, [*_parts(values), *_known(values)]),
        curve_section(compared),
        rank_section(compared),
        question_section(compared, run.collection.second_answers),
        groups_section(first),
        at_fault_section(run.collection, questions, run.passages),
        training_section(values),
        data_section(values),
        canary_section(values),
        loading_section(values),
        cost_section(values),
        origin_section(run, values.options),
    )
    return Report(
        title=f"{values.base_model.rsplit('/', 1)[-1]}, tuned",
        run=run.name,
        verdict=values.verdict,
        sentence=values.reason,
        promises=_promises(values, compared),
        sections=[one for one in found if one is not None],
    )


def _compared(run: StoredRun, values: FinetuneValues, what: str) -> Compared:
    scores = values.held_out[what]
    is_first = what == next(iter(values.held_out))
    end = "" if is_first else f"-{what}"
    before, after = (run.outcomes(f"{side}{end}.jsonl") for side in ("base", "tuned"))
    return Compared(
        asked=ASKED.get(what, what),
        before=Side("base", before, scores.base, run.passages),
        after=Side(_tuned_label(values), after, scores.tuned, run.passages),
        differences=scores.differences,
        seed=values.seed,
        between=values.tuned_alone if is_first else {},
    )


def _tuned_label(values: FinetuneValues) -> str:
    """Tuned, and its retriever where that is not vector search."""
    asked = values.asked_retriever
    return "tuned" if asked in ("vector", "exact") else f"tuned, {asked}"


def _promises(values: FinetuneValues, compared: Sequence[Compared]) -> list[str]:
    said = [f"The verdict judges {_listed(values)}, and no others."]
    if values.folds > 1:
        said.append(
            f"It is the recipe that was judged, by {values.folds} trainings that each held out "
            "other questions."
        )
    if any(len(one.after.outcomes) > one.n for one in compared):
        said.append(REPEATED)
    refit = values.refit
    if values.promoted and refit and not refit.get("refused"):
        said.append(NOT_JUDGED)
    return said


def _listed(values: FinetuneValues) -> str:
    return ", and ".join(PROMISES.get(what, what) for what in values.held_out)


def _known(values: FinetuneValues) -> list[Block]:
    """What the questions of training bring as known ones."""
    known = values.known_questions
    if known is None:
        return []
    before, after = (with_interval(one[PRIMARY_METRIC]) for one in (known.base, known.tuned))
    change = change_with_interval(known.differences[PRIMARY_METRIC])
    said = (
        "With the questions of training known to the index, as in service, MRR@10 of the "
        f"{known.n} questions about known documents is {after} instead of {before}: {change}."
    )
    return [Paragraph(said)]


def _parts(values: FinetuneValues) -> list[Block]:
    """What the tuned model and the retriever bring, each alone and together."""
    if not values.parts:
        return []
    whole = next(iter(values.held_out.values()))
    every = {**values.parts, f"tuned, {values.asked_retriever}": whole}
    rows = [["base, vector", with_interval(whole.base[PRIMARY_METRIC]), ""]]
    rows += [
        [
            name,
            with_interval(one.tuned[PRIMARY_METRIC]),
            change_with_interval(one.differences[PRIMARY_METRIC]),
        ]
        for name, one in every.items()
    ]
    asked = counted(whole.n, "question")
    caption = f"what each part brings, {asked}"
    heads = ["model, retriever", "MRR@10", "change against the first"]
    blocks: list[Block] = [Table(heads, rows, caption)]
    if values.learned:
        blocks.append(Paragraph(f"Weights of the views: {values.learned}."))
    return blocks
