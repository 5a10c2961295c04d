"""The questions of a report as HTML: a list that reads without a script, and filters with one."""

from html import escape

from rag_app.evaluate.figures import score
from rag_app.report.figures import NOT_FOUND, rank_name
from rag_app.report.questions import SHOWN_PASSAGES, STATES, QuestionList, QuestionRow, Shown
from rag_app.text.counts import counted

ALONE = {"still missed": "missed", "found in both": "found"}
NO_BREAK = "\N{NO-BREAK SPACE}"
SORTS = ("most telling first", "rank before", "rank after", "question, A to Z")


def question_html(listed: QuestionList) -> str:
    """Controls, hidden until the script shows them, and one article a question."""
    rows = "".join(_row(row, listed) for row in listed.rows)
    left_out = (
        f'<p class="left-out">{counted(listed.left_out, "further question")} not listed; all are '
        "in the run's files.</p>"
        if listed.left_out
        else ""
    )
    return (
        f'<div class="questions"><p>{_counts(listed)}</p>{_controls(listed)}'
        f'<ol class="rows">{rows}</ol>{left_out}</div>'
    )


def _counts(listed: QuestionList) -> str:
    names = ALONE if listed.is_alone else {state: state for state in STATES}
    said = ", ".join(f"{listed.counts[state]:,} {name}" for state, name in names.items())  # type: ignore[index]
    return f"By the first {SHOWN_PASSAGES} passages, which a reader sees: {said}."


def _controls(listed: QuestionList) -> str:
    names = ALONE if listed.is_alone else {state: state for state in STATES}
    states = "".join(f'<option value="{state}">{name}</option>' for state, name in names.items())
    depths = "".join(
        f"<option{' selected' if k == SHOWN_PASSAGES else ''}>{k}</option>" for k in (1, 3, 5, 10)
    )
    sorts = "".join(
        f'<option value="{place}">{name}</option>'
        for place, name in enumerate(SORTS)
        if not (listed.is_alone and place == 1)
    )
    different = (
        ""
        if listed.is_alone
        else '<label><input type="checkbox" data-do="different"> different only</label>'
    )
    return (
        '<form class="controls" hidden>'
        '<label>search <input type="search" data-do="search"></label>'
        f'<label>show <select data-do="state"><option value="">all</option>{states}</select>'
        "</label>"
        f'<label>by the first <select data-do="depth">{depths}</select> passages</label>'
        f'<label>sort <select data-do="sort">{sorts}</select></label>{different}'
        '<output aria-live="polite"></output></form>'
    )


def _row(row: QuestionRow, listed: QuestionList) -> str:
    state = ALONE.get(row.state, row.state) if listed.is_alone else row.state
    ranks = f'data-b="{row.before or ""}" data-a="{row.after or ""}"'
    tag = f'<span class="tag">{escape(row.asked)}</span>' if row.asked else ""
    as_well = (
        f'<p class="as-well">the first passage may answer as well: {escape(row.also_right)}</p>'
        if row.also_right
        else ""
    )
    instead = _passage("in its place", row.instead, "instead") if row.instead else ""
    steps = f'<p class="steps">{_steps(row)}</p>' if row.steps or row.step_scores else ""
    return (
        f'<li {ranks}><p class="q">{escape(row.question)}</p>'
        f'<p class="ranks"><span class="state {state.replace(" ", "-")}">{state}</span> '
        f"{_ranks(row, listed)} {tag}</p>"
        f"{_passage('right', row.right, 'right')}{instead}{steps}{as_well}</li>"
    )


def _steps(row: QuestionRow) -> str:
    """What each view made of both passages: ranks, scores, or both, as far as they are kept."""
    said = []
    for name in row.steps or row.step_scores:
        ranks, scores = row.steps.get(name), row.step_scores.get(name, (None, None))
        sides = [_standing(ranks and (ranks[side],), scores[side]) for side in (0, 1)]
        # A line ends between two steps, not inside of one.
        said.append(f"{escape(name)} {sides[0]} / {sides[1]}".replace(" ", NO_BREAK))
    told = "ranks (scores)" if row.steps and row.step_scores else "ranks"
    label = f"{told if row.steps else 'scores'} by step, right / in its place"
    return f'<span class="label">{label}</span> {", ".join(said)}'


def _standing(rank: tuple[int | None] | None, value: float | None) -> str:
    """Of one passage in one step.

    Arguments:
        rank: None where it is not known; of a passage that is not there it holds None.
    """
    told = "" if value is None else score(value)
    if rank is None:
        return told or NOT_FOUND
    return f"{rank_name(rank[0])} ({told})" if told else rank_name(rank[0])


def _ranks(row: QuestionRow, listed: QuestionList) -> str:
    after = f"<b>{_rank(row.after)}</b>"
    if listed.is_alone:
        return after
    before, now = escape(listed.before), escape(listed.after)
    return f'{before} <b>{_rank(row.before)}</b> <span aria-hidden="true">→</span> {now} {after}'


def _rank(rank: int | None) -> str:
    return NOT_FOUND if rank is None else f"rank {rank_name(rank)}"


def _passage(label: str, shown: Shown, css: str) -> str:
    told = "" if shown.score is None else f' <span class="score">score {score(shown.score)}</span>'
    title = f"<cite>{_linked(shown)}</cite> " if shown.title else ""
    return (
        f'<p class="{css}"><span class="label">{label}</span> {title}{escape(shown.text)}{told}</p>'
    )


def _linked(shown: Shown) -> str:
    """The title, a link to the file where that is known."""
    title = escape(shown.title)
    # Another scheme could run a script; a run's file may come from anywhere.
    if not shown.uri.startswith("file:///"):
        return title
    return f'<a href="{escape(shown.uri)}">{title}</a>'
