"""The one way to open things: a storage folder, its models, and an index with its model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from rag_app.chunks import PassageModel
from rag_app.errors import ModelError
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog
from rag_app.index.store import VectorIndex
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.custom import CustomModel
from rag_app.vectors import Embedder


class IndexModel(PassageModel, Protocol):
    """What an index needs of its model."""

    def knows_script_of(self, texts: Sequence[str]) -> bool:
        """Whether the model was trained on the script of these texts."""
        ...


Model = TypeVar("Model", bound=IndexModel, covariant=True)


@dataclass(frozen=True)
class OpenIndex(Generic[Model]):
    """An index, and the model that made it."""

    index: VectorIndex
    model: Model


@dataclass(frozen=True)
class Workspace:
    """A storage folder with its indexes, models and vectors, and where models run.

    Fields:
        storage: folder of indexes, models, questions and cached vectors.
        chroma_url: a Chroma server that has the indexes instead.
        offline: never ask the Hugging Face hub for weights.
        device: "auto", "cpu", "cuda" or "mps".
        embedder: a model of the user's own, for indexes that were made with it.

    >>> Workspace(Path("storage")).models.as_posix()
    'storage/models'
    """

    storage: Path = Path("storage")
    chroma_url: str | None = None
    offline: bool = True
    device: str = "auto"
    embedder: Embedder | None = None

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

    def index_model(self, name: str) -> IndexModel:
        """The model of an index: the user's own if it has this name, else weights.

        Raises:
            ModelError: as `load_model`.
        """
        if self.embedder is not None and name == self.embedder.name:
            return CustomModel(self.embedder, storage=self.storage)
        return self.load_model(name)

    def load_model(self, name: str) -> EmbeddingModel:
        """Load a model's weights by name or folder.

        Raises:
            ModelError: not found, or not loadable.
        """
        if self.embedder is not None and name == self.embedder.name:
            raise ModelError(
                f"{name} was brought as an embedder, whose weights are not here to be tuned; name "
                "a sentence-transformers model instead"
            )
        return load_model(name, storage=self.storage, offline=self.offline, device=self.device)

    def open(self, name: str | None = None, *, model: str | None = None) -> OpenIndex[IndexModel]:
        """Open an index, or the one in service, with the model that made it.

        Arguments:
            model: refuse the index unless this model, or one tuned from it, made it.
        Raises:
            IndexMissing, IndexBroken, ModelError: as their names say.
            IndexMismatch: another model made the index.
        """
        index = self.catalog.open(name)
        info = index.info
        loaded = self.index_model(info.model if model in (None, info.base_model) else model)
        index.check_model(loaded)
        return OpenIndex(index, loaded)
