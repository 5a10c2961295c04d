"""A GGUF that `write_gguf` wrote, run by llama.cpp in this process."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_app.errors import ModelError
from rag_app.llm.llama_cpp import import_llama_cpp, listen_here
from rag_app.models.embedding import BATCH_SIZE
from rag_app.models.exported import SETTINGS_FILE
from rag_app.models.gguf import ADAPTER, GGUF
from rag_app.models.query_map import QueryMap
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors


class GgufModel:
    """An embedding model run by llama.cpp on the CPU; an `Embedder`.

    Arguments:
        folder: what `write_gguf` filled.
    Raises:
        ModelError: the folder holds something else, or llama.cpp cannot load it.
    """

    def __init__(self, folder: Path) -> None:
        try:
            settings = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
            self.name = f"{settings['model']}-gguf"
            self.dimension = int(settings["dimension"])
            self._prompts: dict[str, str] = settings["prompts"]
            self._adapter = _read_adapter(folder / ADAPTER)
            with (folder / GGUF).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            self._server = _start(folder / GGUF, tokens=int(settings["max_tokens"]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ModelError(
                f"{folder} is no model that `rag-app export gguf` wrote ({error}); export it again"
            ) from error
        digest.update((folder / SETTINGS_FILE).read_bytes())
        if self._adapter:
            digest.update((folder / ADAPTER).read_bytes())
        self.fingerprint = digest.hexdigest()[:16]

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed questions: (n_texts, dimension) float32, unit length."""
        vectors = self._embed(texts, self._prompts["query"], progress)
        return self._adapter(vectors) if self._adapter else vectors

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed passages: (n_texts, dimension) float32, unit length."""
        return self._embed(texts, self._prompts["passage"], progress)

    def _embed(self, texts: Sequence[str], prompt: str, progress: Progress) -> Vectors:
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), BATCH_SIZE):
            batch = [prompt + text for text in texts[start : start + BATCH_SIZE]]
            found = self._server.handle_embeddings({"input": batch})
            if "data" not in found:
                raise ModelError(f"llama.cpp embeds no such texts: {found}; make them shorter")
            rows = np.array([one["embedding"] for one in found["data"]], np.float32)
            rows = rows[:, : self.dimension]
            vectors[start : start + len(batch)] = rows / np.linalg.norm(rows, axis=1)[:, np.newaxis]
            progress("embed", start + len(batch), len(texts))
        return vectors


def _read_adapter(file: Path) -> QueryMap | None:
    if not file.is_file():
        return None
    with np.load(file) as saved:
        return QueryMap(saved["change"])


def _start(file: Path, *, tokens: int) -> Any:
    """A server of embeddings.

    Raises:
        ModelError: llama.cpp is not there, or cannot load the file.
    """
    try:
        llama = import_llama_cpp()
    except ImportError as error:
        raise ModelError(
            f"a GGUF is checked by llama.cpp, which cannot be loaded ({error}); "
            "run `pip install 'rag-app[gguf]'`"
        ) from None
    params = llama.CommonParams()
    listen_here(params)
    params.model.path = str(file)
    params.embedding = True
    params.n_parallel = 1
    params.n_ctx = params.n_batch = params.n_ubatch = tokens
    params.n_gpu_layers = 0
    try:
        return llama.Server(params)
    except RuntimeError:
        raise ModelError(
            f"llama.cpp cannot load {file}: damaged, or of a kind that it does not know"
        ) from None
