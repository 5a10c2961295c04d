"""Settings that belong together, and the search for the best ones within a time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rag_app.errors import ConfigError, TrainingError
from rag_app.finetune.methods import ADAPTER
from rag_app.finetune.negatives import NegativeOptions
from rag_app.finetune.options import TrainingOptions, TrainingReport
from rag_app.finetune.phases import Workshop, train_phases

if TYPE_CHECKING:
    from rag_app.finetune.material import Material
    from rag_app.models import EmbeddingModel

# What the command does unless told otherwise.
DEFAULT: dict[str, Any] = {"method": f"full,{ADAPTER}"}
# 1,000 pairs in under 3 minutes on 2 cores.
QUICK: dict[str, Any] = {**DEFAULT, "epochs": 3, "max_tokens": 128}
BEST = "best"
PRESETS = ("quick", BEST)


@dataclass(frozen=True)
class Candidate:
    """One way to train: what differs from the given options."""

    method: str = "full"
    learning_rate: float = 5e-5
    negatives: str = "none"

    def __str__(self) -> str:
        """Short, for tables."""
        mined = f", {self.negatives} negatives" if self.negatives != "none" else ""
        return f"{self.method} {self.learning_rate:.0e}{mined}"


CANDIDATES = (
    Candidate(ADAPTER),
    Candidate("full", 5e-5),
    Candidate("full", 2e-5),
    Candidate("full", 1e-4),
    Candidate("full", 5e-5, "mined"),
    Candidate("lora", 5e-4),
    Candidate("top", 1e-4),
)
# Epochs of each round; after each the better half goes on, from the beginning and for longer.
ROUNDS = (1, 4, 10)


@dataclass(frozen=True)
class Tried:
    """One training of the search; `dev_mrr` of the weights that were saved."""

    candidate: str
    epochs: int
    dev_mrr: float
    blend: float
    seconds: float


@dataclass(frozen=True)
class Search:
    """What the search found, and all that it tried."""

    model: "EmbeddingModel"
    report: TrainingReport
    options: TrainingOptions
    tried: list[Tried]


def search_best(
    base: "EmbeddingModel",
    material: "Material",
    options: TrainingOptions,
    shop: Workshop,
    *,
    minutes: float,
    candidates: Sequence[Candidate] = CANDIDATES,
    rounds: Sequence[int] = ROUNDS,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    """Search method, learning rate, epochs, negatives and blend on dev by successive halving.

    Jamieson and Talwalkar 2016, arXiv 1502.07943. Nothing is begun that would not end in time, by
    what the same candidate took before; the best weights then get an adapter, which takes seconds.
    What was trained once is taken up, so the same command again goes on where the time ended.

    Raises:
        ConfigError: no dev questions to choose by.
        TrainingError: no candidate can train this model.
    """
    if material.dev is None:
        raise ConfigError("--preset best chooses on dev questions; raise --dev-share or add pairs")
    deadline = clock() + 60 * minutes
    tried: list[Tried] = []
    best: tuple[float, Candidate, TrainingOptions] | None = None
    running = list(candidates)
    cost: dict[Candidate, float] = {}
    failed: TrainingError | None = None
    for epochs in rounds:
        scores: dict[Candidate, float] = {}
        for candidate in running:
            if clock() + epochs * cost.get(candidate, 0.0) > deadline and best is not None:
                continue
            shop.progress("search", len(tried), 0, f"{candidate}, {epochs} epochs")
            chosen = replace(
                options,
                method=candidate.method,
                learning_rate=candidate.learning_rate,
                epochs=epochs,
                blend=1.0 if candidate.method == ADAPTER else None,
            )
            try:
                _, report = train_phases(base, material, chosen, _negatives(candidate), shop)
            except TrainingError as error:
                failed = error
                continue
            score = report.saved_dev_mrr if report.saved_dev_mrr is not None else -math.inf
            scores[candidate] = score
            cost[candidate] = report.seconds / epochs
            tried.append(Tried(str(candidate), epochs, score, report.blend, report.seconds))
            if best is None or score > best[0]:
                best = (score, candidate, chosen)
        ranked = sorted(scores, key=lambda candidate: -scores[candidate])
        running = ranked[: math.ceil(len(ranked) / 2)]
    if best is None:
        raise failed or TrainingError("no candidate could be trained")
    _, candidate, chosen = best
    chosen = _with_adapter(chosen)
    model, report = train_phases(base, material, chosen, _negatives(candidate), shop)
    return Search(model, report, chosen, tried)


def _with_adapter(options: TrainingOptions) -> TrainingOptions:
    if options.method == ADAPTER:
        return options
    return replace(options, method=f"{options.method},{ADAPTER}")


def _negatives(candidate: Candidate) -> NegativeOptions:
    return NegativeOptions("mined") if candidate.negatives == "mined" else NegativeOptions()
