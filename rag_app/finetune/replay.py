"""The layers of a model as CUDA graphs: a GPU waits for Python between the kernels of small models.

A pass of twelve layers and its way back are a thousand kernels; of a batch of sixteen pairs each
takes the GPU less time than it takes a processor to launch it. A graph launches all of them at
once, but only for the size that it was captured with, so packed texts are filled up to few sizes.
"""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from rag_app.finetune.packed import gains_by_packing, is_packed
from rag_app.finetune.processes import world_size

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Tokens that a graph is made for are a multiple of this; each graph holds gradients of its own.
STEP = 1024
MOST_GRAPHS = 4
# Layers of more weights keep a GPU busy by themselves.
MOST_WEIGHTS = 200_000_000


def replay_layers(model: "SentenceTransformer") -> "Replay | None":
    """Graphs for a model's layers, where they gain and do no harm.

    That is a small model on a GPU that reads its texts packed with torch's own attention, trained
    by a single process.
    """
    device = model.device.type
    if device != "cuda" or world_size() > 1 or not (gains_by_packing(device) and is_packed(model)):
        return None
    module: Any = model[0]
    layers: nn.Module = module.auto_model.encoder
    small = sum(weights.numel() for weights in layers.parameters()) <= MOST_WEIGHTS
    return Replay(layers) if small else None


class Replay:
    """Graphs of one model's layers, made when a size comes for the second time.

    A replay overwrites what the one before it left, so that there may be only one pass through the
    model in each step.
    """

    def __init__(self, layers: nn.Module) -> None:
        self._layers = layers
        self._eager = layers.forward
        self._seen: Counter[tuple[int, int]] = Counter()
        self.graphs: dict[tuple[int, int], Any] = {}
        self._memory = torch.cuda.graph_pool_handle()
        # Said of gradients that are summed on another stream than they were captured on.
        warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Passes with a gradient replay a graph in here, where there is one for their size."""
        self._layers.forward = self._forward
        try:
            yield
        finally:
            del self._layers.forward

    def _forward(self, hidden_states: torch.Tensor, **given: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

        bounds = given["cu_seq_lens_q"]
        tokens = hidden_states.shape[1]
        # One more text fills up, so that there always is one.
        size = (tokens // STEP + 1) * STEP
        graph = self._graph(hidden_states, size, len(bounds))
        if graph is None:
            return self._eager(hidden_states, **given)
        filled = functional.pad(hidden_states, (0, 0, 0, size - tokens))
        found = graph(filled, functional.pad(bounds, (0, 1), value=size))
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=found[:, :tokens])

    def _graph(self, hidden: torch.Tensor, size: int, bounds: int) -> Any:
        if not torch.is_grad_enabled():
            return None
        key = (size, bounds)
        self._seen[key] += 1
        if key not in self.graphs and self._seen[key] > 1 and len(self.graphs) < MOST_GRAPHS:
            self.graphs[key] = self._capture(hidden, *key)
        return self.graphs.get(key)

    def _capture(self, hidden: torch.Tensor, size: int, bounds: int) -> Any:
        filled = hidden.new_zeros((1, size, hidden.shape[2]), requires_grad=hidden.requires_grad)
        ends = torch.linspace(0, size, bounds + 1, device=hidden.device).int()
        device = hidden.device.type
        # What autocast converts for one pass would be freed after it.
        with torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False):
            return torch.cuda.make_graphed_callables(
                _Layers(self._layers, self._eager, size), (filled, ends), pool=self._memory
            )


class _Layers(nn.Module):
    """Layers as a function of tensors alone."""

    def __init__(self, layers: nn.Module, eager: Any, longest: int) -> None:
        super().__init__()
        self.layers = layers
        self.eager = eager
        self.longest = longest

    def forward(self, hidden: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.eager(
            hidden,
            cu_seq_lens_q=bounds,
            cu_seq_lens_k=bounds,
            max_length_q=self.longest,
            max_length_k=self.longest,
        ).last_hidden_state
        return found
