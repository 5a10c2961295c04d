"""How a report writes ranks, counts and times in fitting units; scores: evaluate/figures.py."""

from rag_app.evaluate.display import HEADS
from rag_app.evaluate.kept_passages import shortened
from rag_app.text.counts import counted

NOT_FOUND = "not found"
LONGEST_EXAMPLE = 200


def metric_name(metric: str) -> str:
    """A metric as the field writes it: hit@5, MRR@10, nDCG@10, hit@1024 tokens."""
    name, _, depth = metric.partition("@")
    depth = f"{depth[:-1]} tokens" if depth.endswith("t") else depth
    return f"{HEADS.get(name, name)}@{depth}"


def rank_name(rank: int | None) -> str:
    """A rank, or that there is none."""
    return NOT_FOUND if rank is None else str(rank)


def seconds(value: float) -> str:
    """38 s, 4.2 min or 1.5 h."""
    if value < 90:
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 5400 else f"{value / 3600:.1f} h"


def left_out_of_index(count: int, example: str | None) -> str:
    """How many questions have no answer in the index, with one of them."""
    such = f" (such as {shortened(example, LONGEST_EXAMPLE)!r})" if example else ""
    return f"{counted(count, 'question')} left out: the answer is not in the index{such}."
