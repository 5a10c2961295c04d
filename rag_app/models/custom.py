"""A model that the user brings: any `Embedder`, made fit for cutting documents."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from rag_app.models.weights import DEFAULT_MODEL, find_weights
from rag_app.progress import Progress, silent
from rag_app.vectors import Embedder, Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

# What a model reads of a text is not known: nothing is said to be cut.
NO_LIMIT = 1_000_000


class CustomModel:
    """An `Embedder` that counts tokens: its own, if it has a `tokenizer`, or those of MiniLM.

    Arguments:
        embedder: `tokenizer` (of the library tokenizers) and `max_tokens` are used if it has them.
        storage: where the default model's tokenizer is looked for.
    """

    def __init__(self, embedder: Embedder, *, storage: "Path") -> None:
        self._embedder = embedder
        self._storage = storage
        self.name = embedder.name
        self.fingerprint = embedder.fingerprint
        self.max_tokens = int(getattr(embedder, "max_tokens", NO_LIMIT))
        self.overhead_tokens = int(getattr(embedder, "overhead_tokens", 0))

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._embedder.dimension

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """Finds the places of tokens; neither truncates nor pads."""
        from tokenizers import Tokenizer

        own = getattr(self._embedder, "tokenizer", None)
        if isinstance(own, Tokenizer):
            return own
        folder = find_weights(DEFAULT_MODEL, storage=self._storage)
        tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed questions: (n_texts, dimension) float32, unit length."""
        return self._embedder.embed_queries(texts, progress=progress)

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed passages: (n_texts, dimension) float32, unit length."""
        return self._embedder.embed_passages(texts, progress=progress)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each passage, special tokens left out."""
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encoded]

    def knows_script_of(self, texts: Sequence[str]) -> bool:
        """Who brings a model knows what it reads."""
        return True
