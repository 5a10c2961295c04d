"""Packed texts of a batch's columns, questions and passages, in one pass through the model.

Names that are not documented, tried with sentence-transformers 6.2.0 and transformers 5.23.0;
without them `fast_path` pads:
    sentence-transformers' losses: compute_loss_from_embeddings
    sentence-transformers' Pooling: include_prompt
    features of packed texts: input_ids, position_ids, cu_seq_lens_q, cu_seq_lens_k, max_length_q,
        max_length_k
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# On a CPU a batch is filled up to a multiple of so many tokens: oneDNN makes its kernels anew for
# sizes that it has not met, a tenth of a step.
WHOLE = 128


class PackedColumnsLoss:
    """A loss of sentence-transformers with one pass for all columns where texts are packed.

    Theirs would pad questions to the length of passages, and so takes a pass for each column; it
    is what padded texts get.
    """

    model: "SentenceTransformer"
    compute_loss_from_embeddings: Callable[[list[torch.Tensor], Any], torch.Tensor]

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Any) -> torch.Tensor:
        """The loss of a batch."""
        columns = list(sentence_features)
        if not can_pack_columns(self.model, columns):
            loss: torch.Tensor = super().forward(columns, labels)  # type: ignore[misc]
            return loss
        return self.compute_loss_from_embeddings(embed_columns(self.model, columns), labels)

    def of_packed_columns(self, packed: dict[str, Any], counts: Sequence[int]) -> torch.Tensor:
        """The loss of a batch whose columns are packed already, of so many texts each."""
        return self.compute_loss_from_embeddings(
            embed_packed_columns(self.model, packed, counts), None
        )


def missing_names(model: "SentenceTransformer") -> list[str]:
    """What is used here and the installed sentence-transformers does not have."""
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.sentence_transformer.modules import Pooling

    kinds = (losses.MultipleNegativesRankingLoss, losses.TripletLoss)
    missing = [
        f"{kind.__name__}.compute_loss_from_embeddings"
        for kind in kinds
        if not hasattr(kind, "compute_loss_from_embeddings")
    ]
    if any(isinstance(part, Pooling) and not hasattr(part, "include_prompt") for part in model):
        missing.append("Pooling.include_prompt")
    return missing


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
