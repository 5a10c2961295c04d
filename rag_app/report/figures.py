"""How a report writes numbers: scores as .573, changes as +.012, times in fitting units."""

from rag_app.evaluate import display
from rag_app.evaluate.kept_passages import shortened
from rag_app.evaluate.statistics import Difference, Estimate

NOT_FOUND = "not found"
LONGEST_EXAMPLE = 200


def score(value: float) -> str:
    """.573 for 0.573, 1.000 for 1."""
    return display.short(value)


def change(value: float) -> str:
    """+.083 or -.012."""
    return display.short(value, signed=True)


def with_interval(one: Estimate) -> str:
    """.561 [.520, .602]."""
    return display.with_interval(one)


def change_with_interval(one: Difference | Estimate) -> str:
    """+.042 [+.014, +.070]."""
    return display.with_interval(one, signed=True)


def p_value(p: float) -> str:
    """p with as many digits as ten thousand resamples allow."""
    return "<.001" if p < 0.001 else score(p)


def metric_name(metric: str) -> str:
    """A metric as the field writes it: hit@5, MRR@10, nDCG@10, hit@1024 tokens."""
    name, _, depth = metric.partition("@")
    depth = f"{depth[:-1]} tokens" if depth.endswith("t") else depth
    return f"{display.HEADS.get(name, name)}@{depth}"


def rank_name(rank: int | None) -> str:
    """A rank, or that there is none."""
    return NOT_FOUND if rank is None else str(rank)


def seconds(value: float) -> str:
    """38 s, 4.2 min or 1.5 h."""
    if value < 90:
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 5400 else f"{value / 3600:.1f} h"


def counted(count: int, noun: str) -> str:
    """1 question, 1,200 questions."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def left_out_of_index(count: int, example: str | None) -> str:
    """How many questions have no answer in the index, with one of them."""
    such = f" (such as {shortened(example, LONGEST_EXAMPLE)!r})" if example else ""
    return f"{counted(count, 'question')} left out: the answer is not in the index{such}."
