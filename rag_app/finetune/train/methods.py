"""Which of a model's weights a training changes, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rag_app.errors import TrainingError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

# A tenth of the width of MiniLM and e5-small is enough for a few hundred pairs; the ratio of alpha
# to rank is the customary one (Hu et al. 2021, arXiv 2106.09685, and PEFT's examples).
LORA_RANK = 32
LORA_ALPHA = 64

# Trains no weights, see rag_app/finetune/query_map/training.py; so it has no entry here.
ADAPTER = "adapter"

Finish = Callable[[], None]
Prepare = Callable[["SentenceTransformer"], Finish]


@dataclass(frozen=True)
class MethodEntry:
    """A method: what it does to a model before training; that returns what to do afterwards.

    Fields:
        losses: those that it can train with; None: all of them.
    """

    prepare: Prepare
    losses: tuple[str, ...] | None = None


def _full(model: "SentenceTransformer") -> Finish:
    """Everything but the word embeddings."""
    freeze_word_embeddings(model)
    return _nothing


def _lora(model: "SentenceTransformer") -> Finish:
    """Low-rank updates of the linear layers, merged into the weights afterwards.

    Hu et al. 2021, "LoRA: Low-rank adaptation of large language models", arXiv 2106.09685.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer
    from torch import nn

    _freeze(model)
    inner = _inner(model)
    names = [
        name for name, module in _layers(inner).named_modules() if isinstance(module, nn.Linear)
    ]
    if not names:
        raise TrainingError(
            "this model has no linear layers for --method lora; use --method full or adapter"
        )
    config = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=names)
    inject_adapter_in_model(config, _layers(inner))

    def merge() -> None:
        layers = _layers(inner)
        for name, module in list(layers.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge()
                parent, _, own = name.rpartition(".")
                setattr(layers.get_submodule(parent), own, module.get_base_layer())

    return merge


METHODS = {
    "full": MethodEntry(_full),
    # The decoder of dae is tied to the layers as they were before.
    "lora": MethodEntry(_lora, losses=("mnrl", "triplet")),
}


def find_method(name: str, *, loss: str) -> MethodEntry:
    """The method of this name.

    Arguments:
        loss: what it is to train with.
    Raises:
        TrainingError: unknown; lists the known ones. Or it does not go with the loss.
    """
    if name not in METHODS:
        known = ", ".join([*METHODS, ADAPTER])
        raise TrainingError(f"there is no method {name!r}; --method takes one of: {known}")
    method = METHODS[name]
    if method.losses is not None and loss not in method.losses:
        raise TrainingError(
            f"--method {name} does not go with --loss {loss}; it takes: "
            f"{', '.join(method.losses)}. Use --method full"
        )
    return method


def freeze_word_embeddings(model: "SentenceTransformer") -> None:
    """Leave the word embeddings as they are, whatever trains the rest.

    They are half of MiniLM and four fifths of multilingual-e5-small; a small training set touches
    few of them, and their gradient and optimizer state cost more than those of all layers.
    """
    _freeze(_inner(model).get_input_embeddings())


def weights_of_layers(model: "SentenceTransformer") -> int:
    """How many weights a token passes, its own embedding apart."""
    of_words: int = _inner(model).get_input_embeddings().weight.numel()
    in_all: int = sum(weights.numel() for weights in model.parameters())
    return in_all - of_words


def has_transformer(model: "SentenceTransformer") -> bool:
    """Whether there are layers to train; a static model has none."""
    return getattr(model[0], "auto_model", None) is not None


def _inner(model: "SentenceTransformer") -> Any:
    inner = getattr(model[0], "auto_model", None)
    if inner is None:
        raise TrainingError(
            f"{type(model[0]).__name__} models have no transformer to train; "
            "use --method adapter, or another --model"
        )
    return inner


def _layers(inner: Any) -> "nn.Module":
    layers: nn.Module = getattr(inner, "encoder", inner)
    return layers


def _freeze(module: "nn.Module") -> None:
    for weights in module.parameters():
        weights.requires_grad_(False)


def _nothing() -> None:
    """Nothing to do afterwards."""
