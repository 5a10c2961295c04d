"""Which of a model's weights a training changes, by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rag_app.errors import TrainingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Word embeddings that are more than this share of a model's weights are left as they are: they are
# large multilingual tables of which a small training set touches little, and their gradient and
# optimizer state cost most of the memory.
FROZEN_EMBEDDING_SHARE = 0.6


def _full(model: "SentenceTransformer") -> None:
    """Everything, but for word embeddings that are most of the model."""
    embeddings = model[0].auto_model.get_input_embeddings()
    total = sum(parameter.numel() for parameter in model.parameters())
    if embeddings.weight.numel() > FROZEN_EMBEDDING_SHARE * total:
        embeddings.weight.requires_grad_(False)


METHODS: dict[str, Callable[["SentenceTransformer"], None]] = {"full": _full}


def find_method(name: str) -> Callable[["SentenceTransformer"], None]:
    """The method of this name: it marks the weights that are trained.

    Raises:
        TrainingError: unknown; lists the known ones.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise TrainingError(f"there is no method {name!r}; --method takes one of: {known}")
    return METHODS[name]
