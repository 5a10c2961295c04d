"""An embedding model as LangChain sees one; needs the extra `langchain`."""

from pathlib import Path

from rag_app.errors import ModelError
from rag_app.models.loading import as_embedder
from rag_app.vectors import Embedder, as_lists

try:
    from langchain_core.embeddings import Embeddings
except ImportError:
    raise ModelError("LangChain is not installed: pip install 'rag-app[langchain]'") from None


class LangChainEmbeddings(Embeddings):
    """A LangChain `Embeddings` with the vectors that rag_app indexes, tunes and judges by.

    Arguments:
        model: a sentence-transformers folder, the name of a model, or an `Embedder`.
        storage: where models are looked for by name.
        device: "auto", "cpu", "cuda" or "mps".
        offline: never ask the Hugging Face hub.
    Raises:
        ModelError: the model cannot be found or loaded.

    >>> embeddings = LangChainEmbeddings("sentence-transformers/all-MiniLM-L6-v2")
    >>> len(embeddings.embed_query("how long does delivery take"))
    384
    """

    def __init__(
        self,
        model: str | Path | Embedder,
        *,
        storage: str | Path = "storage",
        device: str = "auto",
        offline: bool = True,
    ) -> None:
        self.model = as_embedder(model, storage=Path(storage), offline=offline, device=device)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a passage, unit length."""
        return as_lists(self.model.embed_passages(texts))

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question, unit length."""
        return as_lists(self.model.embed_queries([text]))[0]
