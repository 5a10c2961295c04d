"""Which metrics tables show, and how the field writes them."""

# Of all metrics, those that a table of two runs shows, and a narrower one.
COMPARED_METRICS = (
    "hit_rate@1",
    "hit_rate@2",
    "hit_rate@3",
    "hit_rate@5",
    "hit_rate@10",
    "mrr@10",
    "ndcg@10",
)
SHOWN_METRICS = ("hit_rate@1", "hit_rate@3", "hit_rate@5", "hit_rate@10", "mrr@10", "ndcg@10")
# As the field writes them.
HEADS = {"hit_rate": "hit", "mrr": "MRR", "ndcg": "nDCG"}
