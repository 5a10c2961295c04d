"""The parts that reports of all kinds of runs have: scores, curves, ranks, questions."""

from collections.abc import Mapping, Sequence

from rag_app.evaluate.collection import SecondAnswer
from rag_app.evaluate.display import COMPARED_METRICS
from rag_app.evaluate.figures import change_with_interval, p_value, with_interval
from rag_app.evaluate.statistics import Estimate
from rag_app.report.at_fault import why_as_well
from rag_app.report.blocks import Block, Paragraph, Section, Table
from rag_app.report.compared import Compared, Side
from rag_app.report.figures import metric_name
from rag_app.report.intervals import depth_of, hit_curve
from rag_app.report.plots import hit_plot, interval_plot
from rag_app.report.questions import STATES, question_list, state_of
from rag_app.report.rank_plot import rank_plot
from rag_app.text.counts import counted

PLOTTED = ("hit_rate@1", "hit_rate@5", "hit_rate@10", "mrr@10", "ndcg@10")
DEPTHS = (1, 3, 5, 10)


def scores_section(
    title: str, compared: Sequence[Compared], parts: Sequence[Block] = ()
) -> Section:
    """Both rankings on each kind of question, with intervals.

    Arguments:
        parts: what else belongs here, such as what each part of a retriever brings.
    """
    blocks: list[Block] = []
    for one in compared:
        sides = {label: _plotted(scores) for label, scores in _scored(one)}
        asked = (
            f"{counted(one.n, 'question')}: {one.asked}"
            if one.asked
            else counted(one.n, "question")
        )
        blocks += [_scores_table(one, asked), interval_plot(f"scores, {asked}", sides)]
    return Section(title, [*blocks, *parts])


def curve_section(compared: Sequence[Compared]) -> Section:
    """hit@k for k = 1 to 20, as far as rankings were kept."""
    blocks: list[Block] = []
    for one in compared:
        deepest = depth_of(*(side.outcomes for side in _sides(one)))
        if not deepest:
            continue
        curves = {
            side.label: hit_curve(side.outcomes, deepest=deepest, seed=one.seed)
            for side in _sides(one)
        }
        blocks += [*_asked(one, compared), hit_plot(curves)]
    return Section("Among the first k passages", blocks)


def rank_section(compared: Sequence[Compared]) -> Section:
    """Where the right passage stood before, and where it stands after."""
    blocks: list[Block] = []
    for one in compared:
        deepest = depth_of(one.before.outcomes, one.after.outcomes)
        labels = (one.before.label, one.after.label)
        blocks += [*_asked(one, compared), rank_plot(one.pairs, labels, deepest=deepest)]
    return Section("Rank before and after", blocks)


def question_section(compared: Sequence[Compared], second: Sequence[SecondAnswer]) -> Section:
    """Questions one by one."""
    why = {one.question_id: why_as_well(one, compared[0].after.passages) for one in second}
    listed = question_list(compared, why)
    blocks: list[Block] = []
    if not listed.is_alone:
        blocks.append(_flips(compared))
    return Section("Questions", [*blocks, listed])


def _sides(compared: Compared) -> list[Side]:
    return [compared.after] if compared.is_alone else [compared.before, compared.after]


def _scored(compared: Compared) -> list[tuple[str, Mapping[str, Estimate]]]:
    """Label and scores of each column, what stands between both in the middle."""
    before, *after = ((side.label, side.scores) for side in _sides(compared))
    return [before, *compared.between.items(), *after]


def _plotted(scores: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {metric_name(name): scores[name] for name in PLOTTED if name in scores}


def _asked(one: Compared, every: Sequence[Compared]) -> list[Paragraph]:
    return [Paragraph(f"{counted(one.n, 'question')}: {one.asked}.")] if len(every) > 1 else []


def _scores_table(one: Compared, caption: str) -> Table:
    sides = _scored(one)
    # A sweep also has a metric of its own: a hit within a budget of tokens.
    own = [name for name in one.differences if name.endswith("t")]
    shown = [name for name in (*COMPARED_METRICS, *own) if name in one.after.scores]
    rows = [
        [metric_name(name), *(with_interval(scores[name]) for _, scores in sides)] for name in shown
    ]
    heads = ["metric", *(label for label, _ in sides)]
    if one.is_alone or not one.differences:
        return Table(heads, rows, caption)
    for name, row in zip(shown, rows, strict=True):
        found = one.differences.get(name)
        row += [change_with_interval(found), p_value(found.p)] if found else ["", ""]
    changed = "last minus first" if one.between else "difference"
    return Table([*heads, f"{changed} [95 % interval]", "p"], rows, caption)


def _flips(compared: Sequence[Compared]) -> Table:
    rows = []
    for k in DEPTHS:
        states = [state_of(a.rank, b.rank, k) for one in compared for a, b in one.pairs]
        rows.append([f"first {k}", *(f"{states.count(state):,}" for state in STATES)])
    heads = ["right passage among the", *STATES]
    return Table(heads, rows, "what changed, by how many passages are looked at")
