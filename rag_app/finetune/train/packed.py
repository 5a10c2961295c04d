"""Texts of a batch one after another instead of padded to the longest.

sentence-transformers packs texts by itself where the package of FlashAttention is installed. Only
attention has to know where one text ends and the next begins. On a GPU that is torch's own
attention for texts of unequal length; on a CPU it is the one below, with a backward pass of its
own: in bfloat16 that of torch's fused attention takes seven times as long there as its forward
pass, this one twice as long.

Names that are private to others or not documented, tried with sentence-transformers 6.2.0,
transformers 5.23.0 and torch 2.13.0; without them `fast_path` pads:
    sentence-transformers' Transformer: auto_model, can_flatten_inputs, data_collator,
        model_forward_params, _flatten_position_offset, _infer_flatten_position_offset,
        _should_flatten_inputs (which asks can_flatten_inputs)
    transformers' models: config._attn_implementation, embeddings, and that attention is given
        cu_seq_lens_q and max_length_q
    torch: _softmax_backward_data
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from rag_app.models.device import has_bf16

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ATTENTION = "rag_app_packed"
# Families that take positions from the outside and leave attention to the named function.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
# Texts of up to so many tokens count as equally long, beyond it those up to a power of two. They
# are filled up to a multiple of it: oneDNN makes its kernels anew for sizes that it has not met.
SHORT = 16
HALF = (torch.bfloat16, torch.float16)
# Of sentence-transformers' Transformer; data_collator and _flatten_position_offset are set anew.
NAMES = (
    "can_flatten_inputs",
    "model_forward_params",
    "_infer_flatten_position_offset",
    "_should_flatten_inputs",
)
BOUNDS = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")


def gains_by_packing(device: str) -> bool:
    """Whether a model trains faster on packed texts there."""
    if device == "cuda":
        return has_bf16(device) and _attention_of_gpu() is not None
    return device == "cpu"


def _attention_of_gpu() -> Any:
    """torch's attention for packed texts; None before torch 2.10."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn


def can_pack(model: "SentenceTransformer") -> bool:
    """Whether the family of a model can read packed texts."""
    inner = getattr(model[0], "auto_model", None)
    return inner is not None and inner.config.model_type in FAMILIES


def missing_names(model: "SentenceTransformer") -> list[str]:
    """What is used here and the installed libraries do not have, for a model that can be packed."""
    import transformers

    parts: list[tuple[str, Any, Sequence[str]]] = [
        ("Transformer", model[0], NAMES),
        ("transformers", transformers, ("AttentionInterface", "DataCollatorWithFlattening")),
        ("auto_model", model[0].auto_model, ("embeddings", "set_attn_implementation")),
        ("config", model[0].auto_model.config, ("_attn_implementation",)),
        ("torch", torch, ("_softmax_backward_data",)),
    ]
    return [
        f"{part}.{name}" for part, of, names in parts for name in names if not hasattr(of, name)
    ]


def pack_texts(model: "SentenceTransformer") -> bool:
    """Let a model read its texts packed, if its family can; says whether it does."""
    from transformers import AttentionInterface, DataCollatorWithFlattening

    if not can_pack(model):
        return False
    module: Any = model[0]
    inner = module.auto_model
    AttentionInterface.register(ATTENTION, packed_attention)
    inner.set_attn_implementation(ATTENTION)
    module.data_collator = DataCollatorWithFlattening(
        return_flash_attn_kwargs=True, return_position_ids=True
    )
    if module.model_forward_params is not None:
        module.model_forward_params |= set(BOUNDS)
    # What sentence-transformers sets for FlashAttention: RoBERTa counts positions from 2.
    module._flatten_position_offset = module._infer_flatten_position_offset()
    module.can_flatten_inputs = True
    keep_autocast_type(model)
    return True


def keep_autocast_type(model: "SentenceTransformer") -> None:
    """Let hidden states stay in autocast's type from layer to layer; vectors are float32."""
    module: Any = model[0]
    module.auto_model.embeddings.register_forward_hook(_as_autocast)
    module.register_forward_hook(_as_float)


def is_packed(model: "SentenceTransformer") -> bool:
    """Whether `pack_texts` was done to the model."""
    inner = getattr(model[0], "auto_model", None)
    return inner is not None and inner.config._attn_implementation == ATTENTION


def _as_autocast(_module: Any, _inputs: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Let hidden states go from layer to layer in autocast's type.

    Left to itself it keeps them in float32, since sums with the first one are, and converts them
    for each product, forward and backward: a seventh of a step.
    """
    device = hidden.device.type
    if not torch.is_autocast_enabled(device):
        return hidden
    return hidden.to(torch.get_autocast_dtype(device))


def _as_float(_module: Any, _inputs: Any, features: dict[str, Any]) -> dict[str, Any]:
    return {**features, "token_embeddings": features["token_embeddings"].float()}


def packed_attention(
    module: torch.nn.Module,  # noqa: ARG001
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each text; transformers' attention interface.

    Arguments:
        query, key, value: (1, heads, tokens, width) of all texts, one after another.
        scaling: of the products, 1 / sqrt(width) in all of `FAMILIES`.
        cu_seq_lens_q: (texts + 1,) the first token of each text, and the end.
        max_length_q: tokens of the longest.
    Returns:
        (1, tokens, heads, width), and no attention weights.
    """
    fused = _attention_of_gpu() if query.is_cuda and query.dtype in HALF else None
    if fused is not None:
        flat = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
        return fused(*flat, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q)[None], None
    grids = _grids(cu_seq_lens_q, query.dtype)
    flat = (tensor[0].transpose(0, 1) for tensor in (query * scaling, key, value))
    mixed: torch.Tensor = _Attention.apply(*flat, grids)  # type: ignore[no-untyped-call]
    return mixed[None], None


@dataclass(frozen=True)
class _Grid:
    """Texts of like length side by side, filled up to the longest.

    Fields:
        rows: (texts, longest) the token of each place, any token where a text has ended.
        real: (tokens of these texts,) the places that hold a token.
        tokens: (tokens of these texts,) which ones they hold.
        bias: (texts, 1, 1, longest) what keeps attention from the others; None if there are none.
        empty: (texts, 1, longest, 1) those others; None if there are none.
    """

    rows: torch.Tensor
    real: torch.Tensor
    tokens: torch.Tensor
    bias: torch.Tensor | None = None
    empty: torch.Tensor | None = None

    def take(self, tensor: torch.Tensor) -> torch.Tensor:
        """(tokens of all texts, heads, width) -> (texts, heads, longest, width)."""
        picked = tensor.reshape(len(tensor), -1).index_select(0, self.rows.flatten())
        return picked.view(*self.rows.shape, *tensor.shape[1:]).transpose(1, 2).contiguous()

    def put(self, tensor: torch.Tensor, into: torch.Tensor) -> None:
        """(texts, heads, longest, width) -> its places in (tokens of all texts, heads, width)."""
        _, heads, _, width = tensor.shape
        flat = tensor.transpose(1, 2).reshape(-1, heads * width)
        if self.bias is not None:
            flat = flat.index_select(0, self.real)
        into.view(len(into), -1).index_copy_(0, self.tokens, flat)


# Every layer of a pass asks for the same ones.
@lru_cache(maxsize=1)
def _grids(bounds: torch.Tensor, dtype: torch.dtype) -> list[_Grid]:
    """The texts between these bounds by length: a question beside passages is not filled up."""
    lengths = bounds.diff().tolist()
    alike: dict[int, list[int]] = {}
    for text, length in enumerate(lengths):
        alike.setdefault(max(length - 1, SHORT - 1).bit_length(), []).append(text)
    return [_grid(bounds, texts, dtype) for texts in alike.values()]


def _grid(bounds: torch.Tensor, texts: list[int], dtype: torch.dtype) -> _Grid:
    starts = bounds[:-1][texts, None].long()
    lengths = bounds.diff()[texts, None]
    longest = math.ceil(int(lengths.max()) / SHORT) * SHORT
    places = torch.arange(longest, device=bounds.device)[None]
    filled = places < lengths
    rows = torch.where(filled, starts + places, starts)
    real = filled.flatten().nonzero().flatten()
    tokens = rows.flatten()[real]
    if bool(filled.all()):
        return _Grid(rows, real, tokens)
    empty = ~filled[:, None, None]
    bias = torch.zeros(empty.shape, dtype=dtype, device=bounds.device)
    bias.masked_fill_(empty, -torch.inf)
    return _Grid(rows, real, tokens, bias, empty.transpose(-1, -2))


class _Attention(torch.autograd.Function):
    """softmax(q k^T) v within each text, on (tokens, heads, width)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        grids: list[_Grid],
    ) -> torch.Tensor:
        mixed = torch.empty_like(query, memory_format=torch.contiguous_format)
        kept: list[torch.Tensor] = []
        for grid in grids:
            queries, keys, values = (grid.take(tensor) for tensor in (query, key, value))
            scores = queries @ keys.transpose(-1, -2)
            if grid.bias is not None:
                scores += grid.bias
            weights = torch.softmax(scores, dim=-1)
            grid.put(weights @ values, mixed)
            kept += (queries, keys, values, weights)
        ctx.grids = grids
        ctx.save_for_backward(*kept)
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        [output] = gradients
        back = [torch.empty_like(output, memory_format=torch.contiguous_format) for _ in range(3)]
        kept = iter(ctx.saved_tensors)
        for grid, queries, keys, values, weights in zip(
            ctx.grids, kept, kept, kept, kept, strict=True
        ):
            mixed = grid.take(output)
            if grid.empty is not None:
                # Places without a token stand for one that is counted elsewhere.
                mixed.masked_fill_(grid.empty, 0.0)
            to_values = weights.transpose(-1, -2) @ mixed
            to_weights = mixed @ values.transpose(-1, -2)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            grid.put(to_scores @ keys, back[0])
            grid.put(to_scores.transpose(-1, -2) @ queries, back[1])
            grid.put(to_values, back[2])
        return (*back, None)
