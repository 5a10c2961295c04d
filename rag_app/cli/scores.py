"""Score tables: base and tuned side by side, and runs below each other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rag_app.cli.tables import TextTable, table
from rag_app.evaluate.display import COMPARED_METRICS, HEADS
from rag_app.evaluate.figures import change, p_value, score

if TYPE_CHECKING:
    from rag_app.evaluate.comparison import Comparison
    from rag_app.evaluate.gate import Gate
    from rag_app.evaluate.statistics import Estimate

SHOWN = ("hit_rate@1", "hit_rate@5", "mrr@10", "ndcg@10")


def comparison_table(
    comparison: "Comparison", *, title: str, sides: tuple[str, str] = ("base", "tuned")
) -> TextTable:
    """One metric a row: both sides, difference with interval, p; 77 columns wide at most."""
    return _compared(comparison, COMPARED_METRICS, sides, title=title)


def gate_table(gate: "Gate") -> TextTable:
    """The same of a gate: the metrics that it watches, before and now."""
    from rag_app.evaluate.gate import WATCHED

    n = gate.comparison.n
    title = f"{n} questions asked before and now" if n > 1 else "1 question asked before and now"
    return _compared(gate.comparison, WATCHED, ("baseline", "now"), title=title)


def _compared(
    comparison: "Comparison", metrics: Sequence[str], sides: tuple[str, str], *, title: str
) -> TextTable:
    rows: list[tuple[str, ...]] = []
    for name in metrics:
        moved = comparison.differences[name]
        rows.append(
            (
                head(name),
                cell(comparison.base[name]),
                cell(comparison.tuned[name]),
                f"{signed(moved.mean)} [{signed(moved.low)}, {signed(moved.high)}]",
                p_value(moved.p, figure),
            )
        )
    heads = ("metric", *sides, "difference", "p")
    return table(heads, rows, title=title, least=(sides[0], "p", sides[1]))


def runs_table(runs: Sequence[tuple[str, Mapping[str, "Estimate"]]], *, title: str) -> TextTable:
    """One run a row, one metric a column; with labels of 11 characters 80 columns wide."""
    rows = [(name, *(cell(scores[metric], digits=2) for metric in SHOWN)) for name, scores in runs]
    least = tuple(map(head, ("hit_rate@5", "ndcg@10", "hit_rate@1")))
    return table(("run", *map(head, SHOWN)), rows, title=title, least=least)


def head(metric: str) -> str:
    """A metric as the field writes it: hit@5, MRR@10, nDCG@10."""
    name, _, depth = metric.partition("@")
    return f"{HEADS.get(name, name)}@{depth}"


def cell(score: "Estimate", *, digits: int = 3) -> str:
    """Mean with its interval, the interval with this many digits."""
    interval = f"[{figure(score.low, digits=digits)}, {figure(score.high, digits=digits)}]"
    return f"{figure(score.mean)} {interval}"


def figure(value: float, *, digits: int = 3) -> str:
    """.573 for 0.573 and 1.00 for 1, which is as wide."""
    return score(value, digits=digits)[: digits + 1]


def signed(value: float) -> str:
    """A change as wide as any other: +.083, -.012, +1.00."""
    return change(value, figure)
