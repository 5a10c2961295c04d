"""The one way to open things: a storage folder, its models, and an index with its model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog
from rag_app.index.store import VectorIndex
from rag_app.models import EmbeddingModel, load_model


@dataclass(frozen=True)
class OpenIndex:
    """An index, and the model that made it."""

    index: VectorIndex
    model: EmbeddingModel


@dataclass(frozen=True)
class Workspace:
    """A storage folder with its indexes, models and vectors, and where models run.

    Fields:
        storage: folder of indexes, models, questions and cached vectors.
        chroma_url: a Chroma server that has the indexes instead.
        offline: never ask the Hugging Face hub for weights.
        device: "auto", "cpu", "cuda" or "mps".
    """

    storage: Path = Path("storage")
    chroma_url: str | None = None
    offline: bool = True
    device: str = "auto"

    @cached_property
    def catalog(self) -> Catalog:
        """The indexes."""
        return Catalog(self.storage, chroma_url=self.chroma_url)

    @cached_property
    def cache(self) -> VectorCache:
        """Vectors that are known already."""
        return VectorCache(self.storage)

    @property
    def models(self) -> Path:
        """Folder of the models that were tuned or put together here."""
        return self.storage / "models"

    def load_model(self, name: str) -> EmbeddingModel:
        """Load a model by name or folder.

        Raises:
            ModelError: not found, or not loadable.
        """
        return load_model(name, storage=self.storage, offline=self.offline, device=self.device)

    def open(self, name: str | None = None, *, model: str | None = None) -> OpenIndex:
        """Open an index, or the one in service, with the model that made it.

        Arguments:
            model: refuse the index unless this model, or one tuned from it, made it.
        Raises:
            IndexMissing, IndexBroken, ModelError: as their names say.
            IndexMismatch: another model made the index.
        """
        index = self.catalog.open(name)
        info = index.info
        loaded = self.load_model(info.model if model in (None, info.base_model) else model)
        index.check_model(loaded)
        return OpenIndex(index, loaded)
