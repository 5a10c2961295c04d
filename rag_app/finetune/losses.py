"""The losses by name, and the columns each of them needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_app.errors import TrainingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class LossEntry:
    """A loss: how it is built for a model, and the training columns it reads, in order."""

    build: Callable[["SentenceTransformer"], Any]
    columns: tuple[str, ...]


def _mnrl(model: "SentenceTransformer") -> Any:
    """Multiple negatives ranking: the other passages of the batch are the negatives.

    Henderson et al. 2017, arXiv 1705.00652, section 4.4.
    """
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    return MultipleNegativesRankingLoss(model)


LOSSES = {"mnrl": LossEntry(_mnrl, ("anchor", "positive"))}


def find_loss(name: str) -> LossEntry:
    """The loss of this name.

    Raises:
        TrainingError: unknown; lists the known ones.
    """
    if name not in LOSSES:
        raise TrainingError(f"there is no loss {name!r}; --loss takes one of: {', '.join(LOSSES)}")
    return LOSSES[name]
