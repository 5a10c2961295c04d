"""Settings that belong together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag_app.finetune.options import TrainingOptions, TrainingRow, tokens_read
from rag_app.finetune.train.methods import ADAPTER, weights_of_layers

if TYPE_CHECKING:
    from rag_app.models import EmbeddingModel

# What the command does unless told otherwise.
DEFAULT: dict[str, Any] = {"method": f"full,{ADAPTER}"}
# The same of a reranker; each question of a batch brings its passage and mined negatives.
RERANKER_DEFAULT: dict[str, Any] = {
    "loss": "lambda",
    "method": "full",
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 1e-4,
    "whitening": None,
}
RERANKER_NEGATIVES = 4
QUICK = "quick"
PRESETS = (QUICK,)
# What 2 cores train in two minutes; the query adapter and the vectors for it take the third.
QUICK_FLOP = 4.5e13
# Of a weight and a token: one multiplication and addition forward, two back.
FLOP = 6


def as_quick(
    given: TrainingOptions, rows: Sequence[TrainingRow], base: "EmbeddingModel"
) -> TrainingOptions:
    """Two epochs, or one where two take longer: 1,000 pairs in under 3 minutes on 2 cores.

    An adapter alone takes seconds, however many.

    Arguments:
        given: what else is set.
        rows: that are trained on.
        base: the model that is trained.
    """
    if given.method == ADAPTER:
        return given
    most = tokens_read(given.max_tokens, base.max_tokens)
    texts = [text for row in rows for text in (row.question, row.passage)]
    tokens = sum(min(count, most) for count in base.count_tokens(texts))
    epoch = FLOP * weights_of_layers(base.transformer) * tokens
    return replace(given, epochs=2 if 2 * epoch <= QUICK_FLOP else 1)
