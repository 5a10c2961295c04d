"""Averages of base and tuned weights, which keep gains at home and lose less elsewhere.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rag_app.finetune.data.dev import takes_over
from rag_app.finetune.options import USUAL_BLEND

if TYPE_CHECKING:
    import torch

    from rag_app.finetune.data.dev import Ranks

Weights = Mapping[str, "torch.Tensor"]

# Shares of the tuned weights that dev chooses among. The canary falls with more, and dev does not
# see it: so the usual one stays unless another is better by more than a standard error.
SHARES = (0.3, 0.5, 0.7, 1.0)


def set_blend(into: Weights, base: Weights, tuned: Weights, share: float) -> None:
    """Set weights to `share` of the tuned and the rest of the base ones."""
    import torch

    with torch.no_grad():
        for name, weights in into.items():
            weights.copy_(torch.lerp(base[name], tuned[name], share))


def choose_blend(
    into: Weights, base: Weights, tuned: Weights, score: Callable[[], "Ranks"]
) -> tuple[float, float]:
    """Leave the average that dev chooses in `into`; returns its share and its score."""
    tried = {}
    for share in SHARES:
        set_blend(into, base, tuned, share)
        tried[share] = score()
    best = max(SHARES, key=lambda share: tried[share].mean())
    chosen = best if takes_over(tried[USUAL_BLEND], tried[best]) else USUAL_BLEND
    set_blend(into, base, tuned, chosen)
    return chosen, float(tried[chosen].mean())
