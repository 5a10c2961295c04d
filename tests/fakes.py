"""Small stand-ins whose values one can compute in the head."""

import hashlib
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from rag_app.models import Prompts
from rag_app.models.embedding import Vectors
from rag_app.progress import Progress, silent

DIMENSION = 64


class WordModel:
    """An embedding model that counts words: texts are alike as far as they share words.

    One token a word. `seed` makes another model of the same dimension, as tuning does.
    """

    def __init__(self, name: str = "words", *, seed: int = 0, max_tokens: int = 256) -> None:
        self.name = name
        self.seed = seed
        self.dimension = DIMENSION
        self.max_tokens = max_tokens
        self.overhead_tokens = 0
        self.prompts = Prompts()
        self.fingerprint = hashlib.sha256(f"{name}{seed}".encode()).hexdigest()[:16]
        self.passage_fingerprint = self.fingerprint
        self.tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106
        self.tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.embedded: list[str] = []

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        return np.stack([self._vector(text) for text in texts])

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def knows_script_of(self, texts: Sequence[str]) -> bool:
        return all(text.isascii() for text in texts)

    def _vector(self, text: str) -> Vectors:
        vector = np.full(DIMENSION, 1e-3, dtype=np.float32)
        for word in text.casefold().split():
            digest = hashlib.sha256(f"{self.seed}{word.strip('.,?!')}".encode()).digest()
            vector[digest[0] % DIMENSION] += 1.0
        return vector / np.linalg.norm(vector)
