"""An embedding model behind an OpenAI-compatible endpoint (`/v1/embeddings`)."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rag_app.errors import ModelError
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from openai import OpenAI

# Texts of one request.
BATCH = 64


class EndpointEmbedder:
    """An `Embedder` that asks an endpoint; nothing else is contacted.

    Its weights cannot be tuned and cannot be seen: the fingerprint is that of the address, the
    model's name and the prompts, so a server that changes the model under one name goes unnoticed.

    Arguments:
        base_url: such as "http://localhost:11434/v1".
        model: the model's name there.
        api_key: sent as a bearer token.
        query_prompt, passage_prompt: put before each question and each passage.
        timeout: seconds for one request.

    >>> model = EndpointEmbedder("http://localhost:11434/v1", "bge-m3", query_prompt="query: ")
    >>> model.name
    'bge-m3'
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "none",
        query_prompt: str = "",
        passage_prompt: str = "",
        timeout: float = 60.0,
    ) -> None:
        self.base_url = base_url
        self.model = model
        self.query_prompt = query_prompt
        self.passage_prompt = passage_prompt
        self._api_key = api_key
        self._timeout = timeout

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self.model

    @cached_property
    def dimension(self) -> int:
        """Length of a vector; asked of the endpoint once."""
        return int(self._embed(["dimension"]).shape[1])

    @property
    def fingerprint(self) -> str:
        """Hash of address, model and prompts, 16 hex digits."""
        parts = "\0".join([self.base_url, self.model, self.query_prompt, self.passage_prompt])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed questions: (n_texts, dimension) float32, unit length.

        Raises:
            ModelError: the endpoint cannot be reached, refuses, or answers something else.
        """
        return self._embed_all(texts, self.query_prompt, "embed questions", progress)

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed passages: (n_texts, dimension) float32, unit length.

        Raises:
            ModelError: as `embed_queries`.
        """
        return self._embed_all(texts, self.passage_prompt, "embed passages", progress)

    def _embed_all(
        self, texts: Sequence[str], prompt: str, step: str, progress: Progress
    ) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        batches = []
        for start in range(0, len(texts), BATCH):
            batch = [prompt + text for text in texts[start : start + BATCH]]
            batches.append(self._embed(batch))
            progress(step, min(start + BATCH, len(texts)), len(texts))
        return np.concatenate(batches)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        from openai import APIConnectionError, APIStatusError

        try:
            answer = self._client.embeddings.create(
                model=self.model, input=list(texts), encoding_format="float"
            )
        except APIConnectionError as error:
            raise ModelError(
                f"no embeddings endpoint answers at {self.base_url} ({error.__cause__ or error}); "
                "start the server or correct base_url"
            ) from None
        except APIStatusError as error:
            raise ModelError(
                f"{self.base_url} refused to embed with {self.model!r} (status "
                f"{error.status_code}: {error.message}); check the model's name and the key"
            ) from None
        # A page that is no embedding at all, as of an address without /v1, comes as text.
        data = getattr(answer, "data", None) or []
        rows = [row.embedding for row in sorted(data, key=lambda row: row.index)]
        if len(rows) != len(texts) or len(set(map(len, rows))) != 1:
            raise ModelError(
                f"{self.base_url} returned {len(rows)} vectors for {len(texts)} texts; is "
                f"{self.model!r} an embedding model, and does base_url go up to /v1?"
            )
        vectors = np.asarray(rows, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(vectors).all() or not (lengths > 0).all():
            raise ModelError(f"{self.base_url} returned vectors that are zero or not finite")
        return np.asarray(vectors / lengths, dtype=np.float32)

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI

        from rag_app.llm.endpoint import without_environment

        return without_environment(
            OpenAI(
                base_url=self.base_url, api_key=self._api_key, timeout=self._timeout, max_retries=2
            )
        )
