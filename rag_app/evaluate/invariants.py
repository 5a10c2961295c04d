"""What must hold between the metrics of any ranking, whoever computed them.

Published tables show what goes wrong without: an MRR below the hit rate at 1 (AutoRAG#699), an NDCG
of 1.63 (haystack#11959), an NDCG of .339 for a perfect ranking (llama_index#17070).
"""

import itertools
import math
from collections.abc import Sequence

from rag_app.evaluate.scoring import LARGEST_K, METRICS, Outcome

TOLERANCE = 1e-9


def check_invariants(outcomes: Sequence[Outcome]) -> None:
    """Refuse outcomes whose values contradict each other or the rank of the first hit.

    Raises:
        RuntimeError: a metric is missing, or they cannot all be true; names question and numbers.
    """
    for outcome in outcomes:
        if not outcome.values.keys() >= set(METRICS):
            raise RuntimeError(
                f"question {outcome.question_id}: metrics are {sorted(outcome.values)}, "
                f"expected {sorted(METRICS)}"
            )
        for claim, holds in _claims(outcome):
            if not holds:
                raise RuntimeError(
                    f"question {outcome.question_id}: {claim} does not hold; "
                    f"first hit at rank {outcome.rank}, values {outcome.values}"
                )


def _claims(outcome: Outcome) -> list[tuple[str, bool]]:
    depths = range(1, LARGEST_K + 1)
    hits = [outcome.values[f"hit_rate@{k}"] for k in depths]
    mrr, ndcg = outcome.values["mrr@10"], outcome.values["ndcg@10"]
    rank: float = outcome.rank or math.inf
    if rank > LARGEST_K:
        rank = math.inf
    several = len(outcome.gold) > 1
    return [
        ("hit_rate@k never falls as k grows", hits == sorted(hits)),
        ("hit_rate@1 <= mrr@10 <= hit_rate@10", _ordered(hits[0], mrr, hits[-1])),
        ("0 <= ndcg@10 <= hit_rate@10", _ordered(0.0, ndcg, hits[-1])),
        ("hit_rate@k is 1 from the first hit's rank on", hits == [rank <= k for k in depths]),
        ("mrr@10 is 1 / rank", _equal(mrr, 1 / rank)),
        (
            "ndcg@10 of one answer is 1 / log2(1 + rank)",
            several or _equal(ndcg, 1 / math.log2(1 + rank)),
        ),
    ]


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE


def _ordered(*values: float) -> bool:
    return all(low <= high + TOLERANCE for low, high in itertools.pairwise(values))
