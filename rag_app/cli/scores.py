"""Score tables: base and tuned side by side, and runs below each other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rag_app.cli.run import table

if TYPE_CHECKING:
    from rag_app.evaluate.comparison import Comparison
    from rag_app.evaluate.statistics import Estimate

SHOWN = ("hit_rate@1", "hit_rate@2", "hit_rate@3", "hit_rate@5", "hit_rate@10", "mrr@10", "ndcg@10")


def comparison_table(comparison: "Comparison", *, title: str) -> Any:
    """One metric a row: base, tuned, difference with interval, p."""
    rows = []
    for name in SHOWN:
        change = comparison.differences[name]
        rows.append(
            (
                name,
                cell(comparison.base[name]),
                cell(comparison.tuned[name]),
                f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]",
                p_value(change.p),
            )
        )
    return table(("metric", "base", "tuned", "difference", "p"), rows, title=title)


def runs_table(runs: Sequence[tuple[str, Mapping[str, "Estimate"]]], *, title: str) -> Any:
    """One run a row, one metric a column."""
    rows = [(name, *(cell(scores[metric]) for metric in SHOWN)) for name, scores in runs]
    return table(("run", *SHOWN), rows, title=title)


def cell(score: "Estimate") -> str:
    """Mean with its interval."""
    return f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"


def p_value(p: float) -> str:
    """p with as many digits as ten thousand resamples allow."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
