"""A BERT encoder as one GGUF file, the format of llama.cpp.

The file holds the encoder, its tokenizer and how token vectors become one. What llama.cpp does not
know stays beside it: the query adapter, and in `settings.json` the prompts, the limit of tokens and
the length to which vectors are cut.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_app.errors import ModelError
from rag_app.models.bert import BertShape, Floats, UnknownModelError
from rag_app.models.embedding import EmbeddingModel
from rag_app.models.exported import write_settings
from rag_app.models.gguf_words import CAN, add_tokenizer
from rag_app.models.query_map import read_query_map

if TYPE_CHECKING:
    from gguf import GGUFWriter

GGUF, ADAPTER = "model.gguf", "query_adapter.npz"
_ARCHITECTURE = "bert"
# What transformers calls a part of a layer, and what GGUF does.
_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_POOLING = {"mean": "MEAN", "cls": "CLS"}


def write_gguf(model: EmbeddingModel, folder: Path) -> None:
    """Write a model's GGUF, query adapter and settings into a folder that is there.

    Matrices are kept in 16 bits, what is added and multiplied in 32.

    Raises:
        ModelError: a model of a kind that llama.cpp has no name for.
    """
    from gguf import GGUFWriter

    config, shape, pooling = _known(model)
    writer = GGUFWriter(folder / GGUF, _ARCHITECTURE)
    try:
        _add_sizes(writer, model, config, shape)
        writer.add_pooling_type(pooling)
        words = add_tokenizer(writer, model.tokenizer, name=model.name)
        for name, values in _tensors(model, shape, words=words):
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    if model.has_query_map:
        found = read_query_map(model.folder)
        np.savez(folder / ADAPTER, change=found.change)
    write_settings(model, folder)


def _known(model: EmbeddingModel) -> tuple[dict[str, Any], BertShape, Any]:
    """Configuration, sizes and pooling of a model that can be written.

    Raises:
        ModelError: one that cannot.
    """
    from gguf import PoolingType

    modules = list(model.transformer)
    kinds = [type(module).__name__ for module in modules]
    tail = kinds[2:-1] if model.has_query_map else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or set(tail) - {"Normalize"}:
        raise _refused(model, f"its modules are {', '.join(kinds)}")
    pooling = _POOLING.get(str(modules[1].pooling_mode))
    if pooling is None:
        raise _refused(model, f"it pools by {modules[1].pooling_mode}")
    config = modules[0].auto_model.config.to_dict()
    try:
        return config, BertShape.of(config), PoolingType[pooling]
    except (UnknownModelError, LookupError, TypeError) as error:
        raise _refused(model, f"{error}") from None


def _refused(model: EmbeddingModel, why: str) -> ModelError:
    return ModelError(
        f"{model.name} cannot be exported as GGUF ({why}); {CAN}. `rag-app export "
        "sentence-transformers` copies this model"
    )


def _add_sizes(
    writer: "GGUFWriter", model: EmbeddingModel, config: dict[str, Any], shape: BertShape
) -> None:
    from gguf import LlamaFileType

    writer.add_name(model.name)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_context_length(int(config["max_position_embeddings"]) - shape.first_position)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_block_count(shape.layers)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(shape.epsilon)
    writer.add_causal_attention(False)


def _tensors(
    model: EmbeddingModel, shape: BertShape, *, words: int
) -> Iterator[tuple[str, Floats]]:
    """Each tensor by its name in GGUF; matrices in 16 bits."""
    state = model.transformer[0].auto_model.state_dict()

    def values(name: str) -> Any:
        return state[name].float().cpu().numpy()

    # Some models have more rows than their tokenizer has words, to round the number.
    yield "token_embd.weight", _half(values("embeddings.word_embeddings.weight")[:words])
    # llama.cpp counts positions from 0, and texts are all of the first kind.
    positions = values("embeddings.position_embeddings.weight")[shape.first_position :]
    yield "position_embd.weight", positions
    yield "token_types.weight", values("embeddings.token_type_embeddings.weight")[:1]
    for kind in ("weight", "bias"):
        yield f"token_embd_norm.{kind}", values(f"embeddings.LayerNorm.{kind}")
    for layer in range(shape.layers):
        for theirs, name in _LAYER.items():
            for kind in ("weight", "bias"):
                found = values(f"encoder.layer.{layer}.{theirs}.{kind}")
                yield f"blk.{layer}.{name}.{kind}", _half(found) if found.ndim == 2 else found


def _half(values: Floats) -> Any:
    return values.astype(np.float16)
