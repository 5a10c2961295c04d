"""A cross-encoder: reads a question and a passage together and says how well they fit."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_app.errors import ModelError, first_line
from rag_app.models.device import choose_device
from rag_app.models.embedding import UNLOADABLE
from rag_app.models.folders import state_of
from rag_app.models.weights import CROSS_ENCODER, find_weights
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder as Loaded

BATCH_SIZE = 32
# Those that were asked for last.
MOST_IN_MEMORY = 2


class CrossEncoder:
    """A sentence-transformers cross-encoder with one score for each pair.

    Raises:
        ModelError: the folder is none.
    """

    def __init__(self, name: str, folder: Path, *, device: str = "auto") -> None:
        self.name = name
        self.folder = folder
        _refuse_other_kinds(name, folder)
        try:
            self._model = _load(folder, device)
        except UNLOADABLE as error:
            raise ModelError(
                f"{folder} is no cross-encoder that can be loaded ({first_line(error)}); "
                "name another"
            ) from error
        if self._model.num_labels != 1:
            raise ModelError(
                f"{name} gives {self._model.num_labels} scores for a pair; a reranker gives one"
            )

    def score(self, question: str, passages: Sequence[str]) -> Vectors:
        """How well each passage answers the question, higher is better: (n_passages,) float32."""
        pairs = [(question, passage) for passage in passages]
        scores = self._model.predict(pairs, batch_size=BATCH_SIZE, show_progress_bar=False)
        return np.asarray(scores, dtype=np.float32)


def untrained_cross_encoder(
    folder: Path, *, device: str = "auto", max_tokens: int | None = None, seed: int = 13
) -> "Loaded":
    """A sentence-transformers CrossEncoder with one score, to be trained, of any weights.

    The last layer of what is no cross-encoder yet is made new.

    Arguments:
        max_tokens: where question and passage together are cut; None: where the model does.
        seed: of the weights of a new last layer.
    Raises:
        ModelError: no cross-encoder can be made of the folder.
    """
    from transformers import set_seed

    set_seed(seed)
    try:
        with _without_warnings():
            model = _load(folder, device, num_labels=1)
    except UNLOADABLE as error:
        raise ModelError(
            f"{folder} cannot be made a cross-encoder ({first_line(error)}); name a transformer "
            "such as bert-base-uncased, or a cross-encoder, with --base"
        ) from error
    if max_tokens is not None:
        model.max_seq_length = min(max_tokens, model.max_seq_length)
    return model


def _load(folder: Path, device: str, **options: Any) -> "Loaded":
    from sentence_transformers import CrossEncoder as Loaded

    return Loaded(
        str(folder),
        device=choose_device(device),
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"dtype": "float32", "use_safetensors": True},
        **options,
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """sentence-transformers warns that an embedding model becomes a cross-encoder."""
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _refuse_other_kinds(name: str, folder: Path) -> None:
    """Refuse what sentence-transformers would give a last layer of random weights."""
    if not scores_pairs(folder):
        raise ModelError(
            f"{name} was not trained to score pairs (it is a {_architecture(folder)}); a reranker "
            "is a cross-encoder, such as cross-encoder/ms-marco-MiniLM-L6-v2"
        )


def scores_pairs(folder: Path) -> bool:
    """Whether its last layer was trained to, as far as its files say."""
    saved_as = _read(folder / "config_sentence_transformers.json").get("model_type")
    built_as = _architecture(folder)
    return not built_as or saved_as == "CrossEncoder" or "ForSequenceClassification" in built_as


def _architecture(folder: Path) -> str:
    return " ".join(_read(folder / "config.json").get("architectures") or ())


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values


class CrossEncoders:
    """The cross-encoders of a storage folder, each in memory once for all that ask for it.

    Arguments:
        storage, offline: as `find_model` has them.
    """

    def __init__(self, storage: Path, *, offline: bool = True, device: str = "auto") -> None:
        self._storage, self._offline = storage, offline

        # The last argument is there to be told apart: a model of this name may be tuned again.
        @lru_cache(MOST_IN_MEMORY)
        def load(name: str, folder: Path, _state: object) -> CrossEncoder:
            return CrossEncoder(name, folder, device=device)

        self._load = load

    def load(self, name: str) -> CrossEncoder:
        """The cross-encoder of this name or folder, as its folder is now.

        Raises:
            ModelError: not found, or not loadable.
        """
        folder = find_weights(
            name, storage=self._storage, offline=self._offline, kind=CROSS_ENCODER
        )
        return self._load(name, folder, state_of(folder))
