"""The report of a sweep: settings compared on the same questions, the best beside the present."""

import re
from collections import defaultdict
from collections.abc import Iterable

from rag_app.evaluate.figures import change_with_interval, p_value, score, with_interval
from rag_app.evaluate.statistics import Difference, Estimate
from rag_app.report.at_fault import at_fault_section
from rag_app.report.bases import bases_section
from rag_app.report.blocks import Block, Paragraph, Report, Section, Table
from rag_app.report.compared import Compared, Side
from rag_app.report.figures import left_out_of_index, metric_name, seconds
from rag_app.report.groups import groups_section
from rag_app.report.origin import origin_section
from rag_app.report.plots import size_plot
from rag_app.report.sections import curve_section, question_section, rank_section, scores_section
from rag_app.report.stored import StoredRun
from rag_app.report.values import SweepValues, SweptValues
from rag_app.text.counts import counted

# Of hybrid:0.7, not of hybrid:learned.
_WEIGHT = re.compile(r":[0-9.]+")
PROMISE = (
    "Settings were chosen on one part of the questions and scored on the other: expect this of new "
    "questions about these documents."
)


def report_of_sweep(run: StoredRun, values: SweepValues) -> Report:
    """All that a sweep measured."""
    compared = _compared(run, values)
    questions = {one.question_id: one.question for one in compared.after.outcomes}
    found: Iterable[Section | None] = (
        scores_section(_title(compared), [compared]),
        _settings(values),
        curve_section([compared]),
        None if compared.is_alone else rank_section([compared]),
        question_section([compared], run.collection.second_answers),
        groups_section(compared),
        at_fault_section(run.collection, questions, run.passages),
        _sizes(values),
        bases_section(values.bases) if values.bases else None,
        _questions(values),
        _cost(values),
        origin_section(run, {}),
    )
    return Report(
        title="Settings compared",
        run=run.name,
        verdict="promote" if values.recommended.wins else "hold",
        sentence=values.recommended.reason,
        promises=[PROMISE],
        sections=[one for one in found if one is not None],
    )


def _title(compared: Compared) -> str:
    return "The present setting" if compared.is_alone else "The present setting against the best"


def _compared(run: StoredRun, values: SweepValues) -> Compared:
    """The present setting and the best, by the questions that chose."""
    present, best = values.runs[0], values.best
    before = _side(run, present)
    after = before if best is present else _side(run, best)
    differences: dict[str, Difference] = {values.metric: best.change} if best.change else {}
    return Compared("questions that did not choose", before, after, differences)


def _side(run: StoredRun, one: SweptValues) -> Side:
    return Side(one.name, run.outcomes(one.file_name), one.scores, run.passages)


def _settings(values: SweepValues) -> Section:
    metric, [budget] = values.metric, _budget(values)
    shown = list(dict.fromkeys(("hit_rate@1", "mrr@10", budget, metric)))
    rows = []
    for one in values.runs:
        scores = one.scores
        cells = [with_interval(scores[name]) if name in scores else "" for name in shown]
        changed = change_with_interval(one.change) if one.change else "(present)"
        p = "" if one.p_holm is None else p_value(one.p_holm)
        rows.append([one.name, *cells, changed, p])
    heads = ["setting", *map(metric_name, shown), f"{metric_name(metric)}, change", "p (Holm)"]
    blocks: list[Block] = [Table(heads, rows, f"{counted(values.runs[0].n, 'question')}")]
    return Section("All settings", blocks)


def _budget(values: SweepValues) -> list[str]:
    """The metric at equal tokens."""
    return [name for name in values.runs[0].scores if name.endswith("t")][:1] or [values.metric]


def _sizes(values: SweepValues) -> Section | None:
    """Scores by chunk size, one curve a retriever; None where all sizes are the same."""
    [metric] = _budget(values)
    several = len({one.model for one in values.runs}) > 1
    curves: dict[str, dict[int, Estimate]] = defaultdict(dict)
    for one in values.runs:
        if metric in one.scores:
            model = f"{one.model.rsplit('/', 1)[-1]}, " if several else ""
            curves[f"{model}{_family(one.retriever)}"].setdefault(
                one.chunk_size, one.scores[metric]
            )
    if len({size for curve in curves.values() for size in curve}) < 2:
        return None
    longest = sorted(curves.items(), key=lambda curve: (-len(curve[1]), curve[0]))[:5]
    said = "At equal tokens: the answer is among the top passages that fit into the budget."
    return Section(
        "By chunk size", [Paragraph(said), size_plot(metric_name(metric), dict(longest))]
    )


def _family(retriever: str) -> str:
    """The retriever without a weight, of which each chunk size may have its own."""
    return _WEIGHT.sub("", retriever)


def _questions(values: SweepValues) -> Section:
    rows = [
        ["chose and tuned the settings", f"{values.split.get('dev', 0):,}"],
        ["scored them", f"{values.split.get('test', 0):,}"],
    ]
    blocks: list[Block] = [Table(["questions", "how many"], rows)]
    if values.unmatched:
        said = left_out_of_index(values.unmatched, values.unmatched_example)
        blocks.append(Paragraph(said))
    if values.trained_on:
        blocks.append(
            Paragraph(
                f"{counted(values.trained_on, 'question')} left out: a model was trained on their "
                "documents, or the learned weights of the present setting on them."
            )
        )
    return Section("How the questions were used", blocks)


def _cost(values: SweepValues) -> Section:
    rows = [
        [
            one.name,
            f"{one.chunks:,}",
            "" if one.megabytes is None else f"{one.megabytes:.0f}",
            "" if one.build_seconds is None else seconds(one.build_seconds),
            "" if one.milliseconds is None else f"{one.milliseconds:.0f}",
            score(one.dev),
        ]
        for one in values.runs
    ]
    heads = ["setting", "chunks", "MB", "to build", "ms a question", "on the questions that chose"]
    return Section("Cost", [Table(heads, rows, f"the whole command: {seconds(values.seconds)}")])
