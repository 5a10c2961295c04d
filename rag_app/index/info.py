"""What made an index: the model, how it was cut, and the distance it is searched by."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rag_app.chunking import Chunking
from rag_app.errors import IndexMismatch

if TYPE_CHECKING:
    from rag_app.vectors import Embedder

DISTANCE = "cosine"


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """Kept in the index's own metadata, so that it can never belong to another index.

    `base_model` is the model that `model` was tuned from, or `model` itself.
    """

    model: str
    base_model: str
    fingerprint: str
    dimension: int
    chunk_size: int
    chunk_overlap: int
    sentences: str

    @classmethod
    def of(
        cls, model: "Embedder", chunking: Chunking, *, base_model: str | None = None
    ) -> "IndexInfo":
        """Describe an index that this model and this chunking make."""
        return cls(
            model=model.name,
            base_model=base_model or model.name,
            fingerprint=model.fingerprint,
            dimension=model.dimension,
            chunk_size=chunking.chunk_size,
            chunk_overlap=chunking.chunk_overlap,
            sentences=chunking.sentences,
        )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "IndexInfo":
        """Read it back from a collection's metadata (KeyError if something else made it)."""
        return cls(**{name: metadata[name] for name in cls.__slots__})

    def to_metadata(self) -> dict[str, str | int]:
        """As collection metadata."""
        return asdict(self)

    @property
    def chunking(self) -> Chunking:
        """How the index's documents are cut."""
        return Chunking(self.chunk_size, self.chunk_overlap, self.sentences)

    def check_model(self, model: "Embedder", *, index: str) -> None:
        """Refuse a model that puts queries elsewhere than this index's vectors.

        A base and a tuned model have the same dimension, so only the fingerprint can tell.

        Raises:
            IndexMismatch: always when the fingerprints differ.
        """
        self.check_fingerprint(model.name, model.fingerprint, index=index)

    def check_fingerprint(self, model: str, fingerprint: str, *, index: str) -> None:
        """As `check_model`, for a model that is not loaded."""
        if fingerprint != self.fingerprint:
            raise IndexMismatch(
                f"index {index!r} was made with {self.model} (fingerprint {self.fingerprint}), "
                f"not with {model} (fingerprint {fingerprint}); leave --model out to use the "
                f"index's own model, or run `rag-app ingest --model {model} PATH` "
                "for another index"
            )
