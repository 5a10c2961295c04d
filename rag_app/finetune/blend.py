"""Averages of base and tuned weights, which keep gains at home and lose less elsewhere.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Weights = Mapping[str, "torch.Tensor"]

# Shares of the tuned weights that dev chooses among; of equally good ones the smallest.
SHARES = (0.3, 0.5, 0.7, 1.0)


def set_blend(into: Weights, base: Weights, tuned: Weights, share: float) -> None:
    """Set weights to `share` of the tuned and the rest of the base ones."""
    import torch

    with torch.no_grad():
        for name, weights in into.items():
            weights.copy_(torch.lerp(base[name], tuned[name], share))


def choose_blend(
    into: Weights, base: Weights, tuned: Weights, score: Callable[[], float]
) -> tuple[float, float]:
    """Leave the best average in `into`; returns its share and its score."""
    tried = []
    for share in SHARES:
        set_blend(into, base, tuned, share)
        tried.append((score(), -share))
    best, negative = max(tried)
    set_blend(into, base, tuned, -negative)
    return -negative, best
