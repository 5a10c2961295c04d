"""Texts of a batch one after another instead of padded to the longest, for training on a CPU.

sentence-transformers packs texts by itself where FlashAttention is installed, which needs a GPU.
Only attention has to know where one text ends and the next begins; this is that attention, with a
backward pass of its own: in bfloat16 that of torch's fused attention takes seven times as long as
its forward pass on a CPU, this one twice as long.
"""

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ATTENTION = "rag_app_packed"
# Families that take positions from the outside and leave attention to the named function.
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "electra"})
BOUNDS = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")


def pack_texts(model: "SentenceTransformer") -> bool:
    """Let a model read its texts packed, if its family can; says whether it does."""
    from transformers import AttentionInterface, DataCollatorWithFlattening

    module: Any = model[0]
    inner = getattr(module, "auto_model", None)
    if inner is None or inner.config.model_type not in FAMILIES:
        return False
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
    return True


def packed_attention(
    module: torch.nn.Module,  # noqa: ARG001
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each text; transformers' attention interface.

    Arguments:
        query, key, value: (1, heads, tokens, width) of all texts, one after another.
        cu_seq_lens_q: (texts + 1,) the first token of each text, and the end.
    Returns:
        (1, tokens, heads, width), and no attention weights.
    """
    rows, real, bias = _layout(cu_seq_lens_q, query.dtype)
    flat = (tensor[0].transpose(0, 1) for tensor in (query * scaling, key, value))
    mixed: torch.Tensor = _Attention.apply(*flat, rows, real, bias)  # type: ignore[no-untyped-call]
    return mixed[None], None


def _layout(
    bounds: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Where tokens go in a padded grid of texts x places, and back.

    Returns:
        (texts, longest) the token of each place, any token where a text has ended;
        (tokens,) the place of each token; (texts, 1, 1, longest) what keeps attention from places
        without a token, None if there are none.
    """
    starts = bounds[:-1, None].long()
    lengths = bounds[1:, None].long() - starts
    places = torch.arange(int(lengths.max()), device=bounds.device)[None]
    filled = places < lengths
    rows = torch.where(filled, starts + places, starts)
    real = filled.flatten().nonzero().flatten()
    if bool(filled.all()):
        return rows, real, None
    bias = torch.zeros(filled.shape, dtype=dtype, device=bounds.device)
    return rows, real, bias.masked_fill_(~filled, -torch.inf)[:, None, None]


class _Attention(torch.autograd.Function):
    """softmax(q k^T) v within each text, on (tokens, heads, width)."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        rows: torch.Tensor,
        real: torch.Tensor,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        query, key, value = (_to_grid(tensor, rows) for tensor in (query, key, value))
        scores = query @ key.transpose(-1, -2)
        if bias is not None:
            scores += bias
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, weights, rows, real)
        return _from_grid(weights @ value, real)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, weights, rows, real = ctx.saved_tensors
        [output] = gradients
        # Places without a token stand for one that is counted elsewhere: they pass nothing back.
        grid = output.new_zeros((rows.numel(), *output.shape[1:]))
        grid[real] = output
        output = grid.view(*rows.shape, *output.shape[1:]).transpose(1, 2).contiguous()
        to_value = weights.transpose(-1, -2) @ output
        to_weights = output @ value.transpose(-1, -2)
        to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
        to_query = to_scores @ key
        to_key = to_scores.transpose(-1, -2) @ query
        back = [_from_grid(tensor, real) for tensor in (to_query, to_key, to_value)]
        return (*back, None, None, None)


def _to_grid(tensor: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(tokens, heads, width) -> (texts, heads, longest, width)."""
    picked = tensor.reshape(len(tensor), -1).index_select(0, rows.flatten())
    return picked.view(*rows.shape, *tensor.shape[1:]).transpose(1, 2).contiguous()


def _from_grid(tensor: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """(texts, heads, longest, width) -> (tokens, heads, width)."""
    _, heads, _, width = tensor.shape
    flat = tensor.transpose(1, 2).reshape(-1, heads * width).index_select(0, real)
    return flat.view(-1, heads, width)
