"""Rank before against rank after: how many questions moved from where to where."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rag_app.evaluate.scoring import Outcome
from rag_app.report.blocks import Figure, Table
from rag_app.report.figures import NOT_FOUND
from rag_app.report.svg import picture, text

# Last ranks of the groups; what comes after them was not found.
GROUPS = (1, 2, 3, 4, 5, 10, 20)
CELL_WIDTH, CELL_HEIGHT = 74, 34
LEFT, TOP = 96, 44
# Shades of a cell, from few questions to many.
SHADES = 4


def rank_plot(
    pairs: Iterable[tuple[Outcome, Outcome]], labels: tuple[str, str], *, deepest: int
) -> Figure:
    """A grid of counts: rows are ranks before, columns ranks after; better is below the diagonal.

    Arguments:
        labels: of the two rankings.
        deepest: how deep rankings were kept.
    """
    names = group_names(deepest)
    counts: Counter[tuple[int, int]] = Counter()
    # Of many questions there are few pairs of ranks.
    for (one, two), count in Counter((one.rank, two.rank) for one, two in pairs).items():
        counts[_group(one, deepest), _group(two, deepest)] += count
    most = max(counts.values(), default=1)
    before, after = labels
    width, height = LEFT + CELL_WIDTH * len(names), TOP + CELL_HEIGHT * len(names) + 8
    parts = [text((LEFT + width) / 2, 14, f"rank, {after}", anchor="middle")]
    parts.append(text(4, 32, f"rank, {before}"))
    for place, name in enumerate(names):
        parts.append(text(LEFT + CELL_WIDTH * (place + 0.5), 34, name, anchor="middle"))
        parts.append(text(LEFT - 8, TOP + CELL_HEIGHT * (place + 0.5) + 4, name, anchor="end"))
    for row in range(len(names)):
        for column in range(len(names)):
            parts += _cell(row, column, counts[row, column], most)
    improved = sum(count for (row, column), count in counts.items() if column < row)
    worse = sum(count for (row, column), count in counts.items() if column > row)
    label = f"rank before against rank after: {improved} better, {worse} worse"
    rows = [
        [f"{before} {name}", *(str(counts[row, column]) for column in range(len(names)))]
        for row, name in enumerate(names)
    ]
    return Figure(
        f"rank before against rank after: {improved} questions better, {worse} worse",
        picture(width, height, label, parts),
        Table([f"rank, {before}", *(f"{after} {name}" for name in names)], rows),
    )


def group_names(deepest: int) -> Sequence[str]:
    """Names of the groups of ranks, as far as rankings were kept."""
    names, last = [], 0
    for end in _ends(deepest):
        names.append(str(end) if end == last + 1 else f"{last + 1}-{end}")
        last = end
    return [*names, NOT_FOUND]


def _ends(deepest: int) -> list[int]:
    return sorted({min(end, max(deepest, 1)) for end in GROUPS})


def _group(rank: int | None, deepest: int) -> int:
    ends = _ends(deepest)
    if rank is None:
        return len(ends)
    return next((place for place, end in enumerate(ends) if rank <= end), len(ends))


def _cell(row: int, column: int, count: int, most: int) -> list[str]:
    kind = "same" if row == column else "better" if column < row else "worse"
    shade = 0 if count == 0 else 1 + (SHADES - 1) * count // most
    x, y = LEFT + CELL_WIDTH * column, TOP + CELL_HEIGHT * row
    box = f'x="{x + 1}" y="{y + 1}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}"'
    parts = [f'<rect class="cell {kind} shade{shade}" {box}/>']
    if count:
        middle = (x + CELL_WIDTH / 2, y + CELL_HEIGHT / 2 + 4)
        parts.append(text(*middle, f"{count:,}", anchor="middle", css=f"count{shade}"))
    return parts
