"""A cross-encoder: reads a question and a passage together and says how well they fit."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_app.errors import ModelError
from rag_app.models.device import choose_device
from rag_app.models.embedding import UNLOADABLE
from rag_app.models.weights import CROSS_ENCODER, find_weights
from rag_app.vectors import Vectors

BATCH_SIZE = 32


class CrossEncoder:
    """A sentence-transformers cross-encoder with one score for each pair.

    Raises:
        ModelError: the folder is none.
    """

    def __init__(self, name: str, folder: Path, *, device: str = "auto") -> None:
        from sentence_transformers import CrossEncoder as Loaded

        self.name = name
        _refuse_other_kinds(name, folder)
        try:
            self._model = Loaded(
                str(folder),
                device=choose_device(device),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": "float32", "use_safetensors": True},
            )
        except UNLOADABLE as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(
                f"{folder} is no cross-encoder that can be loaded ({reason}); name another"
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


def _refuse_other_kinds(name: str, folder: Path) -> None:
    """Refuse what sentence-transformers would give a last layer of random weights."""
    saved_as = _read(folder / "config_sentence_transformers.json").get("model_type")
    built_as = " ".join(_read(folder / "config.json").get("architectures") or ())
    if built_as and saved_as != "CrossEncoder" and "ForSequenceClassification" not in built_as:
        raise ModelError(
            f"{name} was not trained to score pairs (it is a {built_as}); a reranker is a "
            "cross-encoder, such as cross-encoder/ms-marco-MiniLM-L6-v2"
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values


def load_cross_encoder(
    name: str, *, storage: Path, offline: bool = True, device: str = "auto"
) -> CrossEncoder:
    """The cross-encoder of this name or folder.

    Raises:
        ModelError: not found, or not loadable.
    """
    folder = find_weights(name, storage=storage, offline=offline, kind=CROSS_ENCODER)
    return CrossEncoder(name, folder, device=device)
