"""A BERT or RoBERTa encoder in NumPy: what one question needs of a model, without torch.

Importing torch, transformers and sentence-transformers takes some eight seconds, and one question
of a dozen words a few milliseconds of arithmetic. Devlin et al. 2019, "BERT"; inference only. The
tokens of several texts stand one after the other, so that nothing is padded or masked: only
attention is computed text by text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from rag_app.models.threads import multiplies_small_at_once

Floats = npt.NDArray[np.float32]

# Of RoBERTa, positions are counted from the padding token's number on.
KINDS = ("bert", "roberta", "xlm-roberta")
# Columns of a block of weights.
COLUMNS = 64
_WORDS = "embeddings.word_embeddings.weight"


class UnknownModelError(Exception):
    """A folder that says something which is not known here; another loader takes it."""


@dataclass(frozen=True)
class BertShape:
    """What the configuration of an encoder says.

    Fields:
        first_position: that of the first token.
    """

    layers: int
    heads: int
    width: int
    epsilon: float
    first_position: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "BertShape":
        """Read it from a `config.json`.

        Raises:
            UnknownModelError: an architecture of another kind.
        """
        plain = (
            config.get("model_type") in KINDS
            and config.get("hidden_act") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and not config.get("is_decoder")
            and "quantization_config" not in config
            and "auto_map" not in config
        )
        if not plain:
            raise UnknownModelError(f"an encoder of type {config.get('model_type')}")
        first = 0 if config["model_type"] == "bert" else int(config["pad_token_id"]) + 1
        return cls(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            width=int(config["hidden_size"]),
            epsilon=float(config["layer_norm_eps"]),
            first_position=first,
        )

    @property
    def layer_weights(self) -> int:
        """Numbers in the layers, which every token passes: 12 width² each, nearly."""
        return 12 * self.layers * self.width**2


class BertEncoder:
    """The encoder of a `model.safetensors`.

    The word embeddings stay in the file, of which only the rows of a text's tokens are read: those
    of e5 take 384 MB.

    Raises:
        UnknownModelError: tensors are missing, or have another shape than the configuration says.
        SafetensorError, OSError: the file cannot be read.
    """

    def __init__(self, file: Path, shape: BertShape) -> None:
        self.shape = shape
        self._file = _opened(file)
        names = list(self._file.keys())
        self._prefix = next((n.removesuffix(_WORDS) for n in names if n.endswith(_WORDS)), "")
        if missing := {f"{self._prefix}{name}" for name in self._needed()} - set(names):
            raise UnknownModelError(f"no tensor {min(missing)}")
        words = self._file.get_slice(f"{self._prefix}{_WORDS}")
        if words.get_shape()[1:] != [shape.width] or words.get_dtype() not in ("F32", "F16"):
            raise UnknownModelError(f"word embeddings of {words.get_shape()}, {words.get_dtype()}")

    def __call__(self, texts: Sequence[Sequence[int]]) -> list[Floats]:
        """The last hidden states of each text's tokens: (n_tokens, width).

        Arguments:
            texts: token ids of each, one text or more.
        """
        states = np.concatenate([self._embedded(ids) for ids in texts])
        ends = np.cumsum([len(ids) for ids in texts])[:-1].tolist()
        for layer in range(self.shape.layers):
            states = self._layer(states, ends, f"encoder.layer.{layer}.")
        return np.split(states, ends)

    def unload(self) -> None:
        """Free the memory of the weights until they are needed again."""
        self.__dict__.pop("_weights", None)

    def _embedded(self, ids: Sequence[int]) -> Floats:
        rows = self._file.get_slice(f"{self._prefix}{_WORDS}")
        words = np.concatenate([rows[token : token + 1] for token in ids]).astype(np.float32)
        start = self.shape.first_position
        places = self._weights["embeddings.position_embeddings.weight"][start : start + len(ids)]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._normed(words + kind + places, "embeddings.LayerNorm")

    def _layer(self, states: Floats, ends: list[int], name: str) -> Floats:
        attended = self._attention(states, ends, name)
        mixed = self._linear(attended, f"{name}attention.output.dense")
        states = self._normed(states + mixed, f"{name}attention.output.LayerNorm")
        inner = gelu(self._linear(states, f"{name}intermediate.dense"))
        return self._normed(
            states + self._linear(inner, f"{name}output.dense"), f"{name}output.LayerNorm"
        )

    def _attention(self, states: Floats, ends: list[int], name: str) -> Floats:
        """What tokens take from those of their text; `ends` has where each but the last ends."""
        parts = [
            np.split(self._linear(states, f"{name}attention.self.{part}"), ends)
            for part in ("query", "key", "value")
        ]
        return np.concatenate([self._attended(*text) for text in zip(*parts, strict=True)])

    def _attended(self, *parts: Floats) -> Floats:
        """One text's queries, keys and values: (n_tokens, width) each, and the outcome as well."""
        n_tokens, heads = len(parts[0]), self.shape.heads
        query, key, value = (part.reshape(n_tokens, heads, -1).transpose(1, 0, 2) for part in parts)
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.asarray((weights @ value).transpose(1, 0, 2).reshape(n_tokens, -1))

    def _linear(self, states: Floats, name: str) -> Floats:
        return multiplied(states, self._weights[f"{name}.weight"]) + self._weights[f"{name}.bias"]

    def _normed(self, states: Floats, name: str) -> Floats:
        centred = states - states.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.shape.epsilon))
        scaled = centred / spread * self._weights[f"{name}.weight"]
        return np.asarray(scaled + self._weights[f"{name}.bias"])

    @cached_property
    def _weights(self) -> dict[str, Floats]:
        """All tensors but the word embeddings, in float32; matrices of layers as they multiply."""
        return {name: self._tensor(name) for name in self._needed() if name != _WORDS}

    def _tensor(self, name: str) -> Floats:
        tensor = self._file.get_tensor(f"{self._prefix}{name}").astype(np.float32, copy=False)
        turned = tensor.ndim == 2 and name.startswith("encoder.")
        return as_it_multiplies(tensor) if turned else np.asarray(tensor)

    def _needed(self) -> list[str]:
        """Names of the tensors, without what may stand before them."""
        linear = (
            *(f"attention.self.{part}" for part in ("query", "key", "value")),
            *("attention.output.dense", "intermediate.dense", "output.dense"),
            *("attention.output.LayerNorm", "output.LayerNorm"),
        )
        layers = (f"encoder.layer.{n}.{part}" for n in range(self.shape.layers) for part in linear)
        embeddings = (f"embeddings.{kind}_embeddings.weight" for kind in ("position", "token_type"))
        parts = [*layers, "embeddings.LayerNorm"]
        return [_WORDS, *embeddings, *(f"{p}.{k}" for p in parts for k in ("weight", "bias"))]


def _opened(file: Path) -> Any:
    """The file of tensors; its methods have no types."""
    return safe_open(file, framework="np")


def as_it_multiplies(matrix: Floats) -> Floats:
    """A matrix (outputs, inputs) as the few rows of a question are multiplied by it soonest.

    Turned, and contiguous: (inputs, outputs), which takes OpenBLAS .6 of the time. Where it
    multiplies small matrices at once, in blocks of columns: (n_blocks, inputs, 64), .3 of it.
    """
    outputs, inputs = matrix.shape
    if not multiplies_small_at_once() or outputs % COLUMNS:
        return np.ascontiguousarray(matrix.T)
    return np.ascontiguousarray(matrix.reshape(-1, COLUMNS, inputs).transpose(0, 2, 1))


def multiplied(rows: Floats, stored: Floats) -> Floats:
    """Rows (n_rows, inputs) through a matrix of `as_it_multiplies`: (n_rows, outputs)."""
    product = rows @ stored
    if product.ndim == 3:
        product = product.transpose(1, 0, 2).reshape(len(rows), -1)
    return np.asarray(product)


def gelu(values: Floats) -> Floats:
    """Hendrycks and Gimpel 2016, "Gaussian error linear units".

    The error function is that of Abramowitz and Stegun, 7.1.26, off by 1.5e-7 at most; SciPy's
    takes a third of a second to import.
    """
    scaled = np.abs(values) * np.float32(2**-0.5)
    t = 1 / (1 + np.float32(0.3275911) * scaled)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    error = np.copysign(1 - series * np.exp(-(scaled**2)), values)
    return np.asarray(values * (1 + error) / 2, dtype=np.float32)
