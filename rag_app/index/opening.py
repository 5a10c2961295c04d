"""The one way to open things: a storage folder, its models, and an index with its model."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from rag_app.chunks import PassageModel
from rag_app.errors import ModelError
from rag_app.index.cache import VectorCache
from rag_app.index.catalog import Catalog
from rag_app.index.info import IndexInfo
from rag_app.index.server import ChromaServer
from rag_app.index.store import VectorIndex
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.cross_encoder import CrossEncoder, CrossEncoders
from rag_app.models.custom import CustomModel
from rag_app.models.derived import cut_name
from rag_app.models.weights import DEFAULT_MODEL, STAND_INS, find_model
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
        chroma_url: a Chroma server that has the indexes instead: its address, or a `ChromaServer`.
        project: whose indexes on that server; those of the storage's own project unless named.
        offline: never ask the Hugging Face hub for weights.
        device: "auto", "cpu", "cuda" or "mps".
        embedder: a model of the user's own, for indexes that were made with it.
        without_torch: questions are embedded sooner, see `EmbeddingModel`.

    >>> Workspace(Path("storage")).models.as_posix()
    'storage/models'
    """

    storage: Path = Path("storage")
    chroma_url: str | ChromaServer | None = None
    offline: bool = True
    device: str = "auto"
    embedder: Embedder | None = None
    project: str | None = None
    without_torch: bool = False

    @cached_property
    def catalog(self) -> Catalog:
        """The indexes."""
        return Catalog(self.storage, chroma_url=self.chroma_url, project=self.project)

    @cached_property
    def cache(self) -> VectorCache:
        """Vectors that are known already."""
        return VectorCache(self.storage)

    @cached_property
    def _cross_encoders(self) -> CrossEncoders:
        return CrossEncoders(self.storage, offline=self.offline, device=self.device)

    @property
    def models(self) -> Path:
        """Folder of the models that were tuned or put together here."""
        return self.storage / "models"

    @property
    def results(self) -> Path:
        """Folder of what is measured, unless another is named."""
        return self.storage / "results"

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
        return load_model(
            name,
            storage=self.storage,
            offline=self.offline,
            device=self.device,
            without_torch=self.without_torch,
        )

    def load_cross_encoder(self, name: str) -> CrossEncoder:
        """A cross-encoder by name or folder, loaded once.

        Raises:
            ModelError: not found, or not loadable.
        """
        return self._cross_encoders.load(name)

    def model_named(self, name: str) -> str:
        """The name of the weights that are used where a model is asked for by name.

        Raises:
            ModelError: there are none.
        """
        if self.embedder is not None and name == self.embedder.name:
            return name
        found, _ = find_model(name, storage=self.storage, offline=self.offline)
        return found

    def base_model(self, index: str | None = None) -> str | None:
        """The untuned model of an index, or of the one in service; None where there is none."""
        name = index or self.catalog.in_service()
        return self.catalog.open(name).info.base_model if name else None

    def cut_model(self, name: str | None, dimensions: int) -> str:
        """The name of a model cut to its first dimensions.

        Arguments:
            name: the model; None: that of the index in service, or else the default.
        Raises:
            ModelError: there is no such model, or it cannot be cut so.
        """
        return self.model_named(cut_name(name or self.base_model() or DEFAULT_MODEL, dimensions))

    def made_with(self, info: IndexInfo, name: str) -> bool:
        """Whether an index was made with this model, or with one tuned from it.

        Up to version 0.1 indexes made with 4-bit weights had the name of the full ones.

        Raises:
            ModelError: there is no such model.
        """
        used = self.model_named(name) if name in STAND_INS else name
        if info.model in STAND_INS and used in (info.model, STAND_INS[info.model]):
            return self.load_model(used).fingerprint == info.fingerprint
        return used in (info.model, info.base_model, STAND_INS.get(info.base_model))

    def weights_of(self, info: IndexInfo) -> EmbeddingModel:
        """Load the weights that made an index.

        Raises:
            ModelError: as `load_model`.
        """
        model = self.load_model(info.model)
        if info.model in STAND_INS and model.fingerprint != info.fingerprint:
            with suppress(ModelError):
                stand_in = self.load_model(STAND_INS[info.model])
                return stand_in if stand_in.fingerprint == info.fingerprint else model
        return model

    def model_of(self, info: IndexInfo) -> IndexModel:
        """The model of an index: the user's own, or weights.

        Raises:
            ModelError: as `load_model`.
        """
        if self.embedder is not None and info.model == self.embedder.name:
            return self.index_model(info.model)
        return self.weights_of(info)

    def open(self, name: str | None = None, *, model: str | None = None) -> OpenIndex[IndexModel]:
        """Open an index, or the one in service, with the model that made it.

        Arguments:
            model: refuse the index unless this model, or one tuned from it, made it.
        Raises:
            IndexMissing, IndexBroken, ModelError: as their names say.
            IndexMismatch: another model made the index.
        """
        index = self.catalog.open(name)
        other = model if model is not None and not self.made_with(index.info, model) else None
        loaded = self.index_model(other) if other is not None else self.model_of(index.info)
        index.check_model(loaded)
        return OpenIndex(index, loaded)
