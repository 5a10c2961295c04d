"""One embedding model, the same in ingest, training, evaluation and the REPL."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from rag_app.errors import ModelError, first_line
from rag_app.models.device import choose_device, has_bf16
from rag_app.models.families import Family, Prompts, find_family
from rag_app.models.folders import MODULES
from rag_app.models.light import LightModel, read_light
from rag_app.models.passage_graph import find_graph
from rag_app.models.query_map import QUERY_MAP
from rag_app.models.scripts import knows_script
from rag_app.models.tokens import content_tokens
from rag_app.progress import Progress, silent
from rag_app.vectors import TokenEmbeddings, Vectors, are_unit

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

# Texts between two reports of progress.
SLAB = 256
BATCH_SIZE = 32
# Texts, and characters of them, that are embedded sooner without torch than torch is imported: at
# most 2 s on the machine where that took 5. Fewer than a slab, after which more will come.
FEW, FEW_CHARACTERS = SLAB - 1, 20_000
# What the libraries raise on folders that hold something else, or half of what they should.
UNLOADABLE: tuple[type[Exception], ...] = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, RuntimeError),
    SafetensorError,
)
# What stands for the infinity that a static embedding reads.
NO_LIMIT = 1_000_000


class EmbeddingModel:
    """A loaded sentence-transformers model with its prompts, limits and fingerprint.

    `dimension` is the length of a vector, `full_dimension` that before vectors were cut,
    `max_tokens` how many tokens the model reads of a text, prompt and special tokens included,
    `temperature` what its family was trained at.

    Arguments:
        name: what the user calls it.
        folder: the sentence-transformers folder it is loaded from.
        device: "auto", "cpu", "cuda" or "mps".
        without_torch: a few texts are embedded sooner, with vectors that are the same but for
            rounding: for who asks questions, not for who trains, measures or writes an index.
        float_passages: a graph in the folder that passages pass through is left out: for who
            exports the weights.
    Raises:
        ConfigError: the folder has such a graph, and OpenVINO is not installed.
        ModelError: the folder cannot be loaded or has no fast tokenizer.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        device: str = "auto",
        without_torch: bool = False,
        float_passages: bool = False,
    ) -> None:
        self.name = name
        self.folder = folder
        self.device = device
        self._without_torch = without_torch
        self._graph = None if float_passages else find_graph(folder)
        family = find_family(name)
        # A device that was named is to be there, and to be used.
        self._light = read_light(folder) if device in ("auto", "cpu") else None
        saved = _saved_prompts((self._light or self.transformer).prompts)
        self.is_known = family is not None or saved is not None
        self.prompts = saved or (family or Family()).prompts
        self.temperature = (family or Family()).temperature
        _ = self.tokenizer  # without one, say so now
        self.has_query_map = (folder / QUERY_MAP).is_dir()
        self.dimension, self.full_dimension, self.max_tokens = self._sizes()

    def _sizes(self) -> tuple[int, int, int]:
        """Length of a vector, the same before it is cut, and tokens that are read of a text."""
        if light := self._light:
            return light.dimension, light.full_dimension, light.max_tokens
        dimension = int(self.transformer.get_embedding_dimension() or 0)
        with self.transformer.truncate_embeddings(None):
            full = int(self.transformer.get_embedding_dimension() or 0)
        return dimension, full, int(min(self.transformer.max_seq_length or 512, NO_LIMIT))

    @cached_property
    def transformer(self) -> "SentenceTransformer":
        """The model itself; loaded when it is first asked for, and after `unload`."""
        return load_transformer(self.folder, self.device)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """Counts tokens and finds their places; loaded like the model itself."""
        if self._light:
            return self._light.load_tokenizer()
        return _tokenizer(self.transformer, self.folder)

    def unload(self) -> None:
        """Free the memory of weights and tokenizer until they are needed again.

        The tokenizer of 250,000 words that e5 has takes more than its layers do.
        """
        for part in ("transformer", "tokenizer"):
            self.__dict__.pop(part, None)
        if self._light:
            self._light.unload()
        if self._graph:
            self._graph.unload()

    @property
    def assumption(self) -> str | None:
        """What is assumed of a model of which neither its folder nor its name says more."""
        if self.is_known:
            return None
        return (
            f"nothing is known of how {self.name} was trained, so no prompts are put before texts, "
            f"and it would be tuned at temperature {self.temperature:g}; if its card names "
            "prompts, write them into its config_sentence_transformers.json"
        )

    @cached_property
    def overhead_tokens(self) -> int:
        """Tokens of a passage that are not its text: the prompt and the special tokens."""
        return len(self.tokenizer.encode(self.prompts.passage or "").ids)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, modules, tokenizer, prompts, limits, passage graph: 16 hex digits.

        Two models with one fingerprint put a text in the same place; a query may only meet vectors
        whose fingerprint is its own.
        """
        if not self.has_query_map:
            return self.passage_fingerprint
        digest = hashlib.sha256(self.passage_fingerprint.encode())
        for path in sorted((self.folder / QUERY_MAP).rglob("*.safetensors")):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    @cached_property
    def passage_fingerprint(self) -> str:
        """As `fingerprint`, of what passages pass through: without the query adapter."""
        digest = hashlib.sha256()
        query_map = self.folder / QUERY_MAP
        for path in sorted(self.folder.rglob("*")):
            if path.is_relative_to(query_map):
                continue
            if path == self.folder / MODULES and self.has_query_map:
                path = query_map / MODULES  # as it was without the adapter
            if path.suffix == ".safetensors" or path.name in (MODULES, "tokenizer.json"):
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            elif path.name == "config.json" and path.parent != self.folder:
                digest.update(path.read_bytes())
        for path in self._graph.files if self._graph else ():
            digest.update(path.read_bytes())
        settings: list[Any] = [[self.prompts.query, self.prompts.passage], self.max_tokens]
        if self.dimension != self.full_dimension:
            settings.append(self.dimension)
        digest.update(json.dumps(settings).encode())
        return digest.hexdigest()[:16]

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed questions: (n_texts, dimension) float32, unit length."""
        task = ("query", self.prompts.query, "embed questions")
        if light := self._light_for(texts):
            return self._embed_lightly(light, texts, task, progress)
        return self._embed(texts, *task, progress)

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """Embed passages: (n_texts, dimension) float32, unit length.

        There are many, so they pass the model in bfloat16 where the device multiplies it: 2.5 times
        as fast, and within a cosine of .9999 of what float32 gives. For a single question the
        weights would take longer to convert than they save. Where the folder has a graph for
        passages, all of them pass that, however few they are.
        """
        if self._graph:
            prompted = [self.prompts.passage + text for text in texts]
            return self._checked(
                self._graph.embed(prompted, self.tokenizer, self.max_tokens, progress)
            )
        task = ("document", self.prompts.passage, "embed passages")
        if light := self._light_for(texts):
            return self._embed_lightly(light, texts, task, progress)
        import torch

        device = choose_device(self.device)
        with torch.autocast(device, torch.bfloat16, enabled=has_bf16(device)):
            return self._embed(texts, *task, progress)

    @property
    def gives_tokens(self) -> bool:
        """Whether a text's tokens have embeddings of their own; those of a static model do not."""
        return self._light is not None or hasattr(self.transformer[0], "auto_model")

    def embed_query_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        """The content tokens of each question."""
        prompt = self.prompts.query
        if light := self._light_for(texts):
            states = light.token_states([prompt + text for text in texts])
            return content_tokens(self.tokenizer, prompt, texts, states)
        return self._embed_tokens(texts, "query", prompt)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenEmbeddings]:
        """The content tokens of each passage; in bfloat16, as `embed_passages`."""
        import torch

        device = choose_device(self.device)
        with torch.autocast(device, torch.bfloat16, enabled=has_bf16(device)):
            return self._embed_tokens(texts, "document", self.prompts.passage)

    def _embed_tokens(self, texts: Sequence[str], task: str, prompt: str) -> list[TokenEmbeddings]:
        states = self.transformer.encode(
            list(texts),
            prompt=prompt or None,
            task=task,
            output_value="token_embeddings",
            batch_size=BATCH_SIZE,
            show_progress_bar=False,
        )
        rows = [one.float().cpu().numpy() for one in states]
        return content_tokens(self.tokenizer, prompt, texts, rows)

    def encode_plain(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        """What plain `encode` gives: no prompt, no query adapter; (n_texts, dimension)."""
        return self._embed(texts, None, "", "embed", progress)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each passage as the model sees it, prompt and special tokens included."""
        prompted = [self.prompts.passage + text for text in texts]
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(prompted)]

    def knows_script_of(self, texts: Sequence[str]) -> bool:
        """Whether the model was trained on the script of these texts, by its tokenizer."""
        return knows_script(self.tokenizer, texts)

    def _embed(
        self, texts: Sequence[str], task: str | None, prompt: str, step: str, progress: Progress
    ) -> Vectors:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        # Longest first within the whole job: batches of equal length waste no padding.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for start in range(0, len(order), SLAB):
            rows = order[start : start + SLAB]
            vectors[rows] = self.transformer.encode(
                [texts[row] for row in rows],
                prompt=prompt or None,
                task=task,
                batch_size=BATCH_SIZE,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
            self._checked(vectors[rows])
            progress(step, min(start + SLAB, len(order)), len(order))
        return vectors

    def _light_for(self, texts: Sequence[str]) -> LightModel | None:
        """What embeds so few texts, if that was asked for and the model itself is not loaded."""
        if not self._without_torch or "transformer" in self.__dict__:
            return None
        few = len(texts) <= FEW and sum(map(len, texts)) <= FEW_CHARACTERS
        return self._light if few else None

    def _embed_lightly(
        self,
        light: LightModel,
        texts: Sequence[str],
        task: tuple[str, str, str],
        progress: Progress,
    ) -> Vectors:
        name, prompt, step = task
        vectors = self._checked(light.encode(texts, prompt=prompt, task=name))
        progress(step, len(texts), len(texts))
        return vectors

    def _checked(self, vectors: Vectors) -> Vectors:
        """The vectors, if all have unit length."""
        if not are_unit(vectors):
            raise ModelError(
                f"{self.name} gives vectors of length 0, or with NaN or infinite values; its "
                f"weights in {self.folder} are damaged: save them again, or name "
                "another with --model"
            )
        return vectors


def load_transformer(folder: Path, device: str) -> "SentenceTransformer":
    """The model alone, in float32, to be trained or embedded with.

    Raises:
        ModelError: the folder cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return SentenceTransformer(
            str(folder),
            device=choose_device(device),
            local_files_only=True,
            trust_remote_code=False,
            # A checkpoint stored in half precision would otherwise stay so on a CPU, and crawl.
            model_kwargs={"dtype": "float32", "use_safetensors": True},
        )
    except UNLOADABLE as error:
        raise ModelError(
            f"{folder} is no sentence-transformers model that can be loaded ({first_line(error)}); "
            "name another with --model"
        ) from error


def _saved_prompts(saved: Mapping[str, str] | None) -> Prompts | None:
    saved = saved or {}
    query = saved.get("query") or ""
    passage = saved.get("passage") or saved.get("document") or ""
    return Prompts(query, passage) if query or passage else None


def _tokenizer(transformer: "SentenceTransformer", folder: Path) -> "Tokenizer":
    """A tokenizer of our own: sharing the model's would share its truncation and its lock."""
    from tokenizers import Tokenizer

    theirs = transformer.tokenizer
    # A static embedding has the tokenizer itself.
    inner = theirs if isinstance(theirs, Tokenizer) else getattr(theirs, "backend_tokenizer", None)
    if inner is None:
        raise ModelError(
            f"{folder} has no fast tokenizer (tokenizer.json), and transformers makes none of its "
            f"{type(theirs).__name__}; chunking needs one, so name another model with --model"
        )
    tokenizer: Tokenizer = Tokenizer.from_str(inner.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
