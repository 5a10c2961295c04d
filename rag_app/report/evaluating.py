"""The report of an evaluation: runs side by side, the last against the first."""

from collections.abc import Iterable

from rag_app.evaluate.figures import with_interval
from rag_app.report.at_fault import at_fault_section
from rag_app.report.blocks import Block, Paragraph, Report, Section, Table
from rag_app.report.compared import Compared, Side
from rag_app.report.figures import left_out_of_index, metric_name, seconds
from rag_app.report.groups import groups_section
from rag_app.report.origin import origin_section
from rag_app.report.sections import curve_section, question_section, rank_section, scores_section
from rag_app.report.stored import StoredRun
from rag_app.report.values import EvaluatedValues, EvaluateValues
from rag_app.text.counts import counted

SHOWN = ("hit_rate@1", "hit_rate@5", "mrr@10", "ndcg@10")


def report_of_evaluate(run: StoredRun, values: EvaluateValues) -> Report:
    """All that an evaluation measured."""
    compared = _compared(run, values)
    last = values.runs[-1]
    against = last.against_first
    questions = {one.question_id: one.question for one in compared.after.outcomes}
    found: Iterable[Section | None] = (
        scores_section(_title(compared), [compared], _all_runs(values)),
        curve_section([compared]),
        None if compared.is_alone else rank_section([compared]),
        question_section([compared], run.collection.second_answers),
        groups_section(compared),
        at_fault_section(run.collection, questions, run.passages),
        _asked(values),
        origin_section(run, {}),
    )
    return Report(
        title="Evaluation"
        if compared.is_alone
        else f"{_label(values, -1)} against {_label(values, 0)}",
        run=run.name,
        verdict=(against.verdict or "") if against else "",
        sentence=against.reason if against else _scores_of(last),
        promises=_promises(values),
        sections=[one for one in found if one is not None],
    )


def _compared(run: StoredRun, values: EvaluateValues) -> Compared:
    first, last = values.runs[0], values.runs[-1]
    before = _side(run, values, 0)
    after = before if last is first else _side(run, values, -1)
    differences = last.against_first.differences if last.against_first else {}
    return Compared("", before, after, differences)


def _side(run: StoredRun, values: EvaluateValues, place: int) -> Side:
    one = values.runs[place]
    outcomes = run.outcomes(one.file_name)
    return Side(_label(values, place), outcomes, one.scores, run.passages)


def _label(values: EvaluateValues, place: int) -> str:
    """By what the runs differ in: the index, the retriever, or both."""
    one = values.runs[place]
    names, retrievers = (
        {getattr(each, key) for each in values.runs} for key in ("name", "retriever")
    )
    if len(names) == 1:
        return one.retriever
    return one.name if len(retrievers) == 1 else f"{one.name}, {one.retriever}"


def _title(compared: Compared) -> str:
    return "Scores" if compared.is_alone else "The first run against the last"


def _scores_of(one: EvaluatedValues) -> str:
    scores = one.scores
    said = ", ".join(f"{metric_name(name)} {with_interval(scores[name])}" for name in SHOWN)
    return f"{one.name}, {one.retriever}, on {counted(one.n, 'question')}: {said}"


def _promises(values: EvaluateValues) -> list[str]:
    trained_on = max(one.trained_on for one in values.runs)
    if not trained_on:
        return ["Expect this of questions like these."]
    return [
        f"{counted(trained_on, 'question')} are about documents that a model was trained on: their "
        "scores say nothing about new ones."
    ]


def _all_runs(values: EvaluateValues) -> list[Block]:
    if len(values.runs) < 3:
        return []
    rows = [
        [f"{one.name}, {one.retriever}", *(with_interval(one.scores[name]) for name in SHOWN)]
        for one in values.runs
    ]
    return [Table(["run", *map(metric_name, SHOWN)], rows, "all runs")]


def _asked(values: EvaluateValues) -> Section:
    rows = [
        [f"{one.name}, {one.retriever}", f"{one.n:,}", seconds(one.seconds), _known(one)]
        for one in values.runs
    ]
    blocks: list[Block] = [Table(["run", "questions", "retrieving", "known questions"], rows)]
    if values.unmatched:
        said = left_out_of_index(values.unmatched, values.unmatched_example)
        blocks.append(Paragraph(said))
    for one in values.runs:
        blocks += [
            Paragraph(f"{one.retriever}, {counted(count, 'question')}: {warning}")
            for warning, count in one.warnings.items()
        ]
    return Section("Questions and cost", blocks)


def _known(one: EvaluatedValues) -> str:
    return f"{one.known_asked} {one.known_questions}" if one.known_questions else ""
