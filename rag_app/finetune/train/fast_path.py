"""The fast path of a training: packed texts and, on a GPU, CUDA-graph steps; and where it is left.

The plain path is always there: padded batches, and the forward pass, loss and steps of
sentence-transformers. It is taken where the fast one gains nothing or does not fit the model,
where a newer library no longer has a name that the fast one uses, and where it is asked for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rag_app.finetune.train import cuda_graph, packed, packed_columns
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def pack_where_faster(
    model: "SentenceTransformer", device: str, *, progress: Progress = silent
) -> bool:
    """Let a model read its texts packed, if that is faster on the device and its family can.

    Arguments:
        model: for a loss that takes packed texts.
        progress: is told where names are missing.
    Returns:
        whether it reads them packed; if not, the model is as it was.
    """
    if not (packed.gains_by_packing(device) and packed.can_pack(model)):
        return False
    missing = [*packed.missing_names(model), *packed_columns.missing_names(model)]
    if missing:
        tell_missing(progress, missing, "batches are padded")
        return False
    return packed.pack_texts(model)


def cuda_graph_step(
    trainer: Any, optimizer: Any, loss_of: cuda_graph.LossOf, *, progress: Progress = silent
) -> cuda_graph.CudaGraphStep | None:
    """What does the steps of a training as CUDA graphs; None where the trainer does them.

    Arguments:
        trainer: of a model that reads packed texts.
        optimizer: of the weights that it trains.
        loss_of: the loss of packed columns.
        progress: is told where names are missing.
    """
    of_columns = isinstance(trainer.loss, packed_columns.PackedColumnsLoss)
    if not (of_columns and cuda_graph.gains_by_cuda_graph(trainer.model)):
        return None
    missing = cuda_graph.missing_names(trainer, optimizer)
    if missing:
        tell_missing(progress, missing, "training goes on without CUDA graphs")
        return None
    return cuda_graph.CudaGraphStep(loss_of, optimizer, most_norm=trainer.args.max_grad_norm)


def tell_missing(progress: Progress, missing: Sequence[str], instead: str) -> None:
    """One line; the result is the same, it only takes longer."""
    progress(
        "train",
        0,
        0,
        f"the installed libraries have no {', '.join(missing)}: {instead}, which is slower; "
        "install the versions of constraints.txt for the faster way",
    )
