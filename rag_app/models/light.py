"""The folder of a model without sentence-transformers: its settings, and a few texts embedded.

What a folder says is read here as sentence-transformers (6.2) reads it: the modules that
`modules.json` names, their settings, prompts and limits. A folder that says anything which is not
known here is left to sentence-transformers itself. The vectors are the same to a cosine of .99999
(tests/test_light.py).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rag_app.models.bert import BertEncoder, BertShape, Floats, UnknownModelError
from rag_app.models.folders import MODULES, SETTINGS
from rag_app.models.threads import one_thread

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Module = Callable[[Floats], Floats]

# Numbers in the layers beyond which a question takes longer than some .1 s without torch: those of
# a base model have 85 million, those of a large one 300.
LARGEST_LAYERS = 100_000_000
# Tokens of the texts that pass the layers together; with four times as many it takes as long.
PACKED = 256
WEIGHTS = "model.safetensors"
_TYPE = "SentenceTransformer"
# Tokenizers that are what their tokenizer.json says.
_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast", "BertTokenizer", "BertTokenizerFast")
_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "Identity": lambda values: values,
    "ReLU": lambda values: np.maximum(values, 0),
    "Tanh": np.tanh,
}
_POOLING = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
# Settings of each kind of module that are known, with the values that change nothing; None: any.
_SETTINGS: dict[str, dict[str, Any]] = {
    "Transformer": {
        "max_seq_length": None,
        "do_lower_case": False,
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": {"method": "forward", "method_output_name": "last_hidden_state"}
        },
        "module_output_name": "token_embeddings",
    },
    "Pooling": {
        **dict.fromkeys(("embedding_dimension", "word_embedding_dimension", "pooling_mode")),
        **dict.fromkeys(("pooling_mode_cls_token", "pooling_mode_mean_tokens")),
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_weightedmean_tokens": False,
        "pooling_mode_lasttoken": False,
        "include_prompt": True,
    },
    "Dense": {
        **dict.fromkeys(("in_features", "out_features", "bias", "activation_function")),
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    },
    "Normalize": {
        "module_input_name": "sentence_embedding",
        "module_output_name": "sentence_embedding",
    },
}


class LightModel:
    """What a model's folder says, and its vectors of a few texts.

    Fields:
        prompts: by task, as they are saved.
        full_dimension, dimension: length of a vector before and after vectors are cut.
        max_tokens: that are read of a text.

    Raises:
        UnknownModelError: the folder says something that is not known here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        settings = _read(folder / SETTINGS, optional=True)
        if settings.get("default_prompt_name") or settings.get("model_type", _TYPE) != _TYPE:
            raise UnknownModelError("a default prompt, or another type of model")
        self.prompts: dict[str, str] = settings.get("prompts") or {}
        modules = [(_kind(one["type"]), folder / one["path"]) for one in _read(folder / MODULES)]
        if [kind for kind, _ in modules[:2]] != ["Transformer", "Pooling"]:
            raise UnknownModelError(f"modules {[kind for kind, _ in modules]}")
        self._shape = _shape_of(folder)
        self.max_tokens = _max_tokens(folder)
        self._pooling = _pooling(modules[1][1])
        self._tail = modules[2:]
        _check_tokenizer(folder)
        self.full_dimension = self._shape.width
        for kind, path in self._tail:
            self.full_dimension = _outputs(kind, path, self.full_dimension)
        self.dimension = int(settings.get("truncate_dim") or self.full_dimension)
        self._last: tuple[str, Floats] | None = None
        # Read now, so that what is not known is known now.
        self._encoder = BertEncoder(folder / WEIGHTS, self._shape)
        for task in ("query", "document"):
            self._modules(task)

    def load_tokenizer(self) -> "Tokenizer":
        """Counts tokens and finds their places; neither truncates nor pads."""
        tokenizer = _load_tokenizer(self.folder)
        tokenizer.no_truncation()
        return tokenizer

    def unload(self) -> None:
        """Free the memory of weights and tokenizer until they are needed again."""
        self.__dict__.pop("_truncating", None)
        self._last = None
        self._encoder.unload()

    @cached_property
    def _truncating(self) -> "Tokenizer":
        """Cuts a text to what the model reads of it."""
        tokenizer = _load_tokenizer(self.folder)
        tokenizer.enable_truncation(self.max_tokens)
        return tokenizer

    def encode(self, texts: Sequence[str], *, prompt: str, task: str) -> Floats:
        """Vectors of a few texts: (n_texts, dimension), unit length.

        Arguments:
            task: "query" or "document", between which only a query adapter makes a difference.
        """
        found = np.empty((len(texts), self.dimension), np.float32)
        modules = self._modules(task)
        for row, states in enumerate(self.token_states([prompt + text for text in texts])):
            found[row] = self._vector(states, modules)
        return found

    def token_states(self, texts: Sequence[str]) -> list[Floats]:
        """Last hidden states of each text's tokens, special ones included: (n_tokens, width)."""
        with one_thread():
            if len(texts) == 1:
                return [self._states(texts[0])]
            ids = [one.ids for one in self._truncating.encode_batch(list(texts))]
            return [states for some in _packed(ids) for states in self._encoder(some)]

    def _states(self, text: str) -> Floats:
        """A question is read once, whether its vector or its tokens are asked for first."""
        if self._last is None or self._last[0] != text:
            self._last = (text, self._encoder([self._truncating.encode(text).ids])[0])
        return self._last[1]

    def _vector(self, states: Floats, modules: Sequence[Module]) -> Floats:
        vector = states[0] if self._pooling == "cls" else states.mean(axis=0)
        for module in modules:
            vector = module(vector)
        return _normalised(vector[: self.dimension])

    def _modules(self, task: str) -> list[Module]:
        """What a vector passes after the pooling."""
        if task not in self._loaded:
            found: list[Module] = []
            for kind, path in self._tail:
                inner = _routed(path, task) if kind == "Router" else [(kind, path)]
                found += [_module(*one) for one in inner]
            self._loaded[task] = found
        return self._loaded[task]

    @cached_property
    def _loaded(self) -> dict[str, list[Module]]:
        return {}


def read_light(folder: Path) -> LightModel | None:
    """The model of a folder, if all that the folder says is known here."""
    try:
        return LightModel(folder)
    except (
        *(UnknownModelError, SafetensorError, OSError),
        *(ValueError, LookupError, TypeError, AttributeError),
    ):
        # Whoever loads it otherwise says what is wrong with it, if anything is.
        return None


def _read(path: Path, *, optional: bool = False) -> Any:
    if optional and not path.is_file():
        return {}
    return json.loads(path.read_text("utf-8"))


def _kind(name: str) -> str:
    """The class of a module, of those that sentence-transformers has."""
    if not name.startswith("sentence_transformers."):
        raise UnknownModelError(f"a module {name}")
    return name.rpartition(".")[2]


def _settings(kind: str, file: Path, *, optional: bool = False) -> dict[str, Any]:
    """The settings of a module.

    Raises:
        UnknownModelError: one that is not known, or has another value than is known.
    """
    found: dict[str, Any] = _read(file, optional=optional)
    known = _SETTINGS[kind]
    for key, value in found.items():
        if key not in known or known[key] not in (None, value):
            raise UnknownModelError(f"{kind} with {key} = {value!r}")
    return found


def _shape_of(folder: Path) -> BertShape:
    config = _read(folder / "config.json")
    shape = BertShape.of(config)
    if shape.layer_weights > LARGEST_LAYERS:
        raise UnknownModelError("a large model")
    return shape


def _max_tokens(folder: Path) -> int:
    saved = _settings("Transformer", folder / "sentence_bert_config.json", optional=True)
    if (length := saved.get("max_seq_length")) is not None:
        return int(length)
    positions = int(_read(folder / "config.json")["max_position_embeddings"])
    return min(int(_read(folder / "tokenizer_config.json")["model_max_length"]), positions)


def _pooling(folder: Path) -> str:
    saved = _settings("Pooling", folder / "config.json")
    if (mode := saved.get("pooling_mode")) is None:
        modes = [name for name, key in _POOLING.items() if saved.get(key)]
        mode = modes[0] if len(modes) == 1 else None
    if mode not in _POOLING:
        raise UnknownModelError(f"pooling by {mode}")
    return str(mode)


def _check_tokenizer(folder: Path) -> None:
    """Refuse a tokenizer that transformers may make of its parts otherwise than its file says."""
    named = _read(folder / "tokenizer_config.json")
    kind = named.get("tokenizer_class")
    if kind not in _TOKENIZERS:
        raise UnknownModelError(f"a tokenizer of class {kind}")
    if kind.startswith("BertTokenizer"):
        normalizer = _read(folder / "tokenizer.json").get("normalizer") or {}
        if normalizer.get("lowercase") != named.get("do_lower_case", True):
            raise UnknownModelError("a tokenizer whose files say different things")


def _load_tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return tokenizer


def _outputs(kind: str, path: Path, inputs: int) -> int:
    """Length of the vectors that leave a module."""
    if kind != "Router":
        return int(_read(path / "config.json")["out_features"]) if kind == "Dense" else inputs
    for inner_kind, inner in _routed(path, "document"):
        inputs = _outputs(inner_kind, inner, inputs)
    return inputs


def _routed(folder: Path, task: str) -> list[tuple[str, Path]]:
    """The modules of a router that a text of this task passes."""
    config = _read(folder / "router_config.json")
    parameters: Mapping[str, Any] = config["parameters"]
    if parameters.get("default_route") != "document" or parameters.get("route_mappings"):
        raise UnknownModelError("a router with routes of its own")
    names = config["structure"][task]
    return [(_kind(config["types"][name]), folder / name) for name in names]


def _module(kind: str, folder: Path) -> Module:
    """A module of those that may stand behind the pooling."""
    if kind == "Normalize":
        _settings(kind, folder / "config.json", optional=True)
        return _normalised
    if kind != "Dense":
        raise UnknownModelError(f"a module {kind}")
    saved = _settings(kind, folder / "config.json")
    activation = _ACTIVATIONS.get(str(saved["activation_function"]).rpartition(".")[2])
    if activation is None:
        raise UnknownModelError(f"a layer with {saved['activation_function']}")
    tensors = load_file(folder / WEIGHTS)
    weight = tensors["linear.weight"].astype(np.float32)
    bias = tensors["linear.bias"].astype(np.float32) if saved["bias"] else np.float32(0)
    return lambda vector: activation(weight @ vector + bias)


def _packed(texts: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """Texts in their order, some at a time."""
    some: list[list[int]] = []
    for ids in texts:
        if some and sum(map(len, some)) + len(ids) > PACKED:
            yield some
            some = []
        some.append(ids)
    if some:
        yield some


def _normalised(vector: Floats) -> Floats:
    """At unit length, as torch does it: what has no length keeps none."""
    return np.asarray(vector / np.maximum(np.linalg.norm(vector), np.float32(1e-12)))
