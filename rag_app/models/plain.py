"""A model as programs use it that know neither its prompts nor its query adapter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from rag_app.models.embedding import EmbeddingModel


class PlainEncode:
    """An `Embedder` with the vectors of sentence-transformers' plain `encode`.

    LlamaIndex's HuggingFaceEmbedding calls it for questions and passages alike (0.8.0).
    """

    def __init__(self, model: "EmbeddingModel") -> None:
        self._model = model

    @property
    def is_the_same(self) -> bool:
        """Whether plain `encode` leaves nothing out."""
        prompts = self._model.prompts
        return not (self._model.has_query_map or prompts.query or prompts.passage)

    @property
    def name(self) -> str:
        """The model's name, marked."""
        return f"{self._model.name} (plain encode)"

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._model.dimension

    @property
    def fingerprint(self) -> str:
        """That of the model, marked."""
        return f"{self._model.fingerprint}/plain"

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed without a prompt and without the query adapter: (n_texts, dimension)."""
        return self._model.encode_plain(texts, progress=progress)

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """As `embed_queries`."""
        return self._model.encode_plain(texts, progress=progress)
