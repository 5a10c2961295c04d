"""Packed texts of a batch's columns, questions and passages, in one pass through the model."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch

# On a CPU a batch is filled up to a multiple of so many tokens: oneDNN makes its kernels anew for
# sizes that it has not met, a tenth of a step.
WHOLE = 128


def embed_columns(
    model: torch.nn.Module, columns: Sequence[dict[str, torch.Tensor]]
) -> list[torch.Tensor]:
    """Vectors of the packed texts of several columns, which pass through the model together.

    The weights are converted, and their gradients summed, once instead of once a column.

    Returns:
        (texts, dimension) of each column.
    """
    fill = 1 if columns[0]["input_ids"].is_cuda else WHOLE
    return embed_packed_columns(model, pack_columns(columns, fill), texts_of(columns))


def can_pack_columns(model: torch.nn.Module, columns: Sequence[dict[str, Any]]) -> bool:
    """Whether columns may pass together: packed, for a model whose vectors hold all of a text."""
    return all("cu_seq_lens_q" in column for column in columns) and pools_prompts(model)


def pools_prompts(model: torch.nn.Module) -> bool:
    """Whether prompts are part of a model's vectors.

    A prompt that pooling leaves out is not as long in each column.
    """
    return all(getattr(module, "include_prompt", True) for module in model.modules())


def texts_of(columns: Sequence[dict[str, torch.Tensor]]) -> tuple[int, ...]:
    """How many texts each column packs."""
    return tuple(len(column["cu_seq_lens_q"]) - 1 for column in columns)


def embed_packed_columns(
    model: torch.nn.Module, packed: dict[str, Any], counts: Sequence[int]
) -> list[torch.Tensor]:
    """(texts, dimension) of each column, from what `pack_columns` made of so many texts."""
    vectors = model(dict(packed))["sentence_embedding"][: sum(counts)]
    return list(vectors.split(counts))


def pack_columns(columns: Sequence[dict[str, torch.Tensor]], multiple: int) -> dict[str, Any]:
    """The texts of several columns one after another.

    Arguments:
        columns: packed texts.
        multiple: of tokens; above 1 another text, whose vector nobody reads, fills up to it.
    Returns:
        packed texts.
    """
    if multiple > 1:
        columns = [*columns, _filler(columns, multiple)]
    starts = [0, *accumulate(column["input_ids"].shape[1] for column in columns)]
    bounds = torch.cat(
        [
            column["cu_seq_lens_q"][0 if start == 0 else 1 :] + start
            for column, start in zip(columns, starts, strict=False)
        ]
    )
    packed = dict(columns[0])
    for name in ("input_ids", "position_ids"):
        packed[name] = torch.cat([column[name] for column in columns], dim=1)
    packed["cu_seq_lens_q"] = packed["cu_seq_lens_k"] = bounds
    for name in ("max_length_q", "max_length_k"):
        packed[name] = max(column[name] for column in columns)
    return packed


def _filler(columns: Sequence[dict[str, torch.Tensor]], multiple: int) -> dict[str, Any]:
    """A text of 1 to `multiple` tokens."""
    like = columns[0]
    size = multiple - sum(column["input_ids"].shape[1] for column in columns) % multiple
    # The first position again and again: a model may know fewer positions than these.
    return {
        "input_ids": like["input_ids"][:, :1].expand(-1, size),
        "position_ids": like["position_ids"][:, :1].expand(-1, size),
        "cu_seq_lens_q": like["cu_seq_lens_q"].new_tensor([0, size]),
        "max_length_q": size,
        "max_length_k": size,
    }
