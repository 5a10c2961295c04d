"""Training steps as CUDA graphs: a GPU waits for Python between the kernels of small models.

Twelve layers forward and back and the optimizer are some two thousand kernels; of a batch of
sixteen pairs each takes the GPU less time than it takes a processor to launch it. A graph launches
all of them at once, but only for the size that it was captured with, so packed texts are filled up
to few sizes.

Names that are not documented, tried with torch 2.13.0, transformers 5.23.0 and
sentence-transformers 6.2.0; without them `fast_path` leaves steps to the trainer:
    torch's AdamW: capturable and a learning rate that is a tensor, in param_groups and changed
        while it trains
    sentence-transformers' trainer: collect_features, compute_loss_context_manager
    sentence-transformers' Pooling: that it reads seq_idx
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rag_app.finetune.train.packed import gains_by_packing, is_packed
from rag_app.finetune.train.packed_columns import pack_columns, pools_prompts, texts_of
from rag_app.finetune.train.processes import world_size

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Tokens that a graph is made for are a multiple of this.
STEP = 1024
MOST_GRAPHS = 4
# Larger models keep a GPU busy by themselves.
MOST_WEIGHTS = 200_000_000
TRAINER_NAMES = ("collect_features", "compute_loss_context_manager")
READ = ("input_ids", "position_ids", "seq_idx", "cu_seq_lens_q")

PackedColumns = dict[str, Any]
LossOf = Callable[[PackedColumns, Sequence[int]], torch.Tensor]


def gains_by_cuda_graph(model: "SentenceTransformer") -> bool:
    """Whether a model trains faster so: a small one, on a GPU, on packed texts, by one process."""
    device = model.device.type
    if device != "cuda" or world_size() > 1 or not gains_by_packing(device):
        return False
    trained = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    return trained <= MOST_WEIGHTS and is_packed(model) and pools_prompts(model)


def missing_names(trainer: Any, optimizer: torch.optim.Optimizer) -> list[str]:
    """What is used here and the installed libraries do not have."""
    missing = [f"trainer.{name}" for name in TRAINER_NAMES if not hasattr(trainer, name)]
    if not all("capturable" in group for group in optimizer.param_groups):
        missing.append(f"{type(optimizer).__name__}.param_groups.capturable")
    return missing


@dataclass(frozen=True)
class _Graph:
    """A captured step.

    Fields:
        texts: what it reads.
        rates: the learning rate of each of the optimizer's groups, which it reads too.
        loss: what it leaves.
    """

    graph: Any
    texts: PackedColumns
    rates: list[torch.Tensor]
    loss: torch.Tensor


class CudaGraphStep:
    """Steps of one training as graphs, made when a size comes for the second time.

    All graphs share their memory: what a step leaves is gone with the next, the weights and the
    optimizer's state apart.
    """

    def __init__(
        self, loss_of: LossOf, optimizer: torch.optim.Optimizer, *, most_norm: float
    ) -> None:
        """Of a training.

        Arguments:
            loss_of: the loss of packed columns, given how many texts each has.
            optimizer: of all weights that are trained.
            most_norm: to which the gradient is clipped.
        """
        self._loss_of = loss_of
        self._optimizer = optimizer
        self._most_norm = most_norm
        self._weights = [weights for group in optimizer.param_groups for weights in group["params"]]
        self._seen: set[tuple[int, tuple[int, ...]]] = set()
        self._graphs: dict[tuple[int, tuple[int, ...]], _Graph] = {}
        self._memory = torch.cuda.graph_pool_handle()

    def step(self, columns: Sequence[dict[str, Any]]) -> torch.Tensor | None:
        """Forward, back, and the optimizer's step, if there is a graph for this size.

        Arguments:
            columns: packed texts, in the processor's memory.
        Returns:
            the loss; None if nothing was done.
        """
        packed = pack_columns(columns, STEP)
        # Left to itself pooling counts on the device, and waits.
        lengths = packed["cu_seq_lens_q"].diff().numpy()
        packed["seq_idx"] = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))[None]
        key = (packed["input_ids"].shape[1], texts_of(columns))
        if key not in self._graphs:
            # What is first called while a graph is captured may not be captured.
            if key not in self._seen or len(self._graphs) == MOST_GRAPHS:
                self._seen.add(key)
                return None
            self._graphs[key] = self._capture(packed, key[1])
        return self._launch(self._graphs[key], packed)

    def _launch(self, step: _Graph, packed: PackedColumns) -> torch.Tensor:
        for name in READ:
            step.texts[name].copy_(packed[name].pin_memory(), non_blocking=True)
        for rate, group in zip(step.rates, self._optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        step.graph.replay()
        return step.loss.clone()

    def _capture(self, packed: PackedColumns, counts: tuple[int, ...]) -> _Graph:
        device = self._weights[0].device
        texts = {**packed, **{name: packed[name].to(device) for name in READ}}
        texts["cu_seq_lens_k"] = texts["cu_seq_lens_q"]
        # Only an upper bound is asked for, and this one holds for all texts of the size.
        texts["max_length_q"] = texts["max_length_k"] = packed["input_ids"].shape[1]
        rates = [
            torch.tensor(float(group["lr"]), device=device)
            for group in self._optimizer.param_groups
        ]
        graph = torch.cuda.CUDAGraph()
        with self._capturable(rates), torch.cuda.graph(graph, pool=self._memory):
            loss = self._loss_of(texts, counts)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self._weights, self._most_norm)
            self._optimizer.step()
            for weights in self._weights:
                weights.grad = None
        return _Graph(graph, texts, rates, loss.detach())

    @contextmanager
    def _capturable(self, rates: Sequence[torch.Tensor]) -> Iterator[None]:
        """Let the optimizer read its learning rates where a graph can read them."""
        groups = self._optimizer.param_groups
        before = [(group["lr"], group["capturable"]) for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"], group["capturable"] = rate, True
        try:
            yield
        finally:
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable
