"""A name becomes a loaded embedding model."""

from pathlib import Path

from rag_app.models.embedding import EmbeddingModel
from rag_app.models.weights import find_model
from rag_app.vectors import Embedder


def load_model(
    name: str,
    *,
    storage: Path,
    offline: bool = True,
    device: str = "auto",
    without_torch: bool = False,
    float_passages: bool = False,
) -> EmbeddingModel:
    """Find a model's weights and load them; its name is that of the weights (see `find_model`).

    Arguments:
        without_torch, float_passages: see `EmbeddingModel`.
    Raises:
        ConfigError: an extra that the model needs is not installed.
        ModelError: not found, or not loadable.
    """
    found, folder = find_model(name, storage=storage, offline=offline)
    return EmbeddingModel(
        found, folder, device=device, without_torch=without_torch, float_passages=float_passages
    )


def as_embedder(
    model: str | Path | Embedder, *, storage: Path, offline: bool, device: str
) -> Embedder:
    """The model itself, or the weights of this name or folder.

    Raises:
        ModelError: not found, or not loadable.
    """
    if isinstance(model, str | Path):
        return load_model(str(model), storage=storage, offline=offline, device=device)
    return model
