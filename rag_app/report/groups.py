"""Scores by kind of question: the category and language of what answers it, and its length."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from rag_app.evaluate.figures import change_with_interval, score, with_interval
from rag_app.evaluate.kept_passages import KeptPassage
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.report.blocks import Block, Paragraph, Section, Table
from rag_app.report.compared import Compared
from rag_app.report.figures import metric_name
from rag_app.report.intervals import intervals

# Groups of one kind that are shown, the largest first.
SHOWN_GROUPS = 15
# Words of a question, from which each group goes on to the next.
LENGTHS = (1, 5, 9, 17)

Pairs = list[tuple[Outcome, Outcome]]


def groups_section(compared: Compared) -> Section | None:
    """A table for each kind that is known and has two groups or more; None where there is none."""
    tables = list(_tables(compared))
    if not tables:
        return None
    said = "Small groups differ by chance: read the intervals, not the means alone."
    blocks: list[Block] = [Paragraph(said), *tables]
    return Section("By kind of question", blocks)


def _tables(compared: Compared) -> Iterator[Table]:
    passages = compared.after.passages
    kinds: dict[str, Callable[[Outcome], str]] = {
        "category of the right passage": lambda one: _right(one, passages, "category"),
        "words in the question": _length,
        "language of the right passage": lambda one: _right(one, passages, "language"),
    }
    for name, group_of in kinds.items():
        groups: dict[str, Pairs] = defaultdict(list)
        for before, after in compared.pairs:
            groups[group_of(after)].append((before, after))
        groups.pop("", None)
        if len(groups) > 1:
            yield _table(name, groups, compared)


def _table(name: str, groups: dict[str, Pairs], compared: Compared) -> Table:
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    metric = metric_name(PRIMARY_METRIC)
    left_out = len(ordered) - SHOWN_GROUPS
    caption = f"{metric} by {name}" + (
        f"; {left_out} smaller ones left out" if left_out > 0 else ""
    )
    shown = ordered[:SHOWN_GROUPS]
    if compared.is_alone:
        rows = [[group, str(len(pairs)), _alone(pairs, compared.seed)] for group, pairs in shown]
        return Table([name, "questions", metric], rows, caption)
    heads = [name, "questions", compared.before.label, compared.after.label, "change [95 %]"]
    rows = [[group, str(len(pairs)), *_both(pairs, compared.seed)] for group, pairs in shown]
    return Table(heads, rows, caption)


def _alone(pairs: Pairs, seed: int) -> str:
    values = np.array([[after.values[PRIMARY_METRIC] for _, after in pairs]])
    [found] = intervals([after.cluster for _, after in pairs], values, seed=seed)
    return with_interval(found)


def _both(pairs: Pairs, seed: int) -> list[str]:
    before = np.array([one.values[PRIMARY_METRIC] for one, _ in pairs])
    after = np.array([one.values[PRIMARY_METRIC] for _, one in pairs])
    names = [one.cluster for one, _ in pairs]
    [found] = intervals(names, (after - before)[np.newaxis], seed=seed, lowest=-1.0)
    return [score(float(before.mean())), score(float(after.mean())), change_with_interval(found)]


def _right(outcome: Outcome, passages: dict[str, KeptPassage], key: str) -> str:
    chunks = (chunk for chunks in outcome.gold for chunk in chunks)
    first = next((passages[chunk] for chunk in chunks if chunk in passages), None)
    return str(getattr(first, key)) if first else ""


def _length(outcome: Outcome) -> str:
    words = max(1, len(outcome.question.split()))
    start = max(length for length in LENGTHS if length <= words)
    further = [length for length in LENGTHS if length > start]
    return f"{start} to {further[0] - 1}" if further else f"{start} or more"
