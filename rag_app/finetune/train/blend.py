"""Averages of base and tuned weights, which keep in-domain gains and lose less out of domain.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]


def set_blend(into: Weights, base: Weights, tuned: Weights, share: float) -> None:
    """Set weights to `share` of the tuned and the rest of the base ones."""
    import torch

    with torch.no_grad():
        for name, weights in into.items():
            weights.copy_(torch.lerp(base[name], tuned[name], share))
