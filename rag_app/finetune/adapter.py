"""Method "adapter": a linear map on the question's vector; passages keep theirs.

Everything is embedded once, before training, so that training takes seconds and no index has to be
built anew. The idea is LlamaIndex's EmbeddingAdapterFinetuneEngine; the loss is that of "mnrl".
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag_app.errors import TrainingError
from rag_app.finetune.batches import deal_batches
from rag_app.finetune.dev import DevSet, mean_reciprocal_rank
from rag_app.finetune.losses import DEFAULT_SCALE
from rag_app.finetune.machine import peak_memory_mb
from rag_app.finetune.options import REPORT_FILE, TrainingOptions, TrainingReport, TrainingRow
from rag_app.models import EmbeddingModel
from rag_app.models.embedding import ADAPTER_FILE, apply_adapter
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from rag_app.index import VectorCache

# An epoch takes milliseconds, and a map learns slowly at a model's rate; faster, it only learns by
# heart.
EPOCH_FACTOR = 10
WEIGHT_DECAY = 0.01


def train_adapter(
    base: EmbeddingModel,
    rows: Sequence[TrainingRow],
    *,
    dev: DevSet | None,
    target: Path,
    options: TrainingOptions,
    cache: "VectorCache",
    progress: Progress = silent,
) -> TrainingReport:
    """Train the map and write a folder: that of `base`, and the map.

    Raises:
        TrainingError: another loss than mnrl, or a base that has an adapter already.
    """
    if options.loss != "mnrl":
        raise TrainingError(f"--method adapter trains with --loss mnrl, not with {options.loss}")
    if (base.folder / ADAPTER_FILE).is_file():
        raise TrainingError(f"{base.name} has an adapter already; start from its base --model")
    import torch

    started = time.monotonic()
    torch.manual_seed(options.seed)
    embedded = [
        torch.from_numpy(np.array(vectors))
        for vectors in (
            cache.embed_queries(base, [row.question for row in rows], progress=progress),
            cache.embed_passages(base, [row.passage for row in rows], progress=progress),
        )
    ]
    change = torch.zeros(base.dimension, base.dimension, requires_grad=True)
    score = _dev_scorer(dev, base, cache) if dev else None
    dev_mrr, losses, best = _fit(change, embedded, rows, options, score, progress)
    seconds = time.monotonic() - started
    epochs = options.epochs * EPOCH_FACTOR
    report = TrainingReport(
        seconds=round(seconds, 2),
        pairs_per_second=round(len(rows) * epochs / seconds, 2),
        peak_memory_mb=peak_memory_mb("cpu"),
        device="cpu",
        bf16=False,
        best_epoch=1 + int(np.argmax(dev_mrr)) if dev_mrr else epochs,
        dev_mrr=[round(value, 6) for value in dev_mrr],
        losses=losses,
        saved_dev_mrr=max(dev_mrr, default=None),
    )
    _save(base.folder, best, target, report)
    return report


def _fit(
    change: "torch.Tensor",
    embedded: Sequence["torch.Tensor"],
    rows: Sequence[TrainingRow],
    options: TrainingOptions,
    score: Callable[["torch.Tensor"], float] | None,
    progress: Progress,
) -> tuple[list[float], list[float], "torch.Tensor"]:
    """Train `change`; returns dev MRR and loss by epoch, and the map that was best on dev.

    Where no epoch is better than the untouched map, that is the best.
    """
    import torch
    from torch.nn import functional

    questions, passages = embedded
    groups = [row.group for row in rows]
    optimizer = torch.optim.AdamW([change], lr=options.learning_rate, weight_decay=WEIGHT_DECAY)
    epochs = options.epochs * EPOCH_FACTOR
    scale = options.scale or DEFAULT_SCALE
    dev_mrr: list[float] = []
    losses: list[float] = []
    best = change.detach().clone()
    best_score = score(best) if score else -math.inf
    for epoch in range(epochs):
        total = 0.0
        for batch in deal_batches(groups, options.batch_size, seed=options.seed * 10_007 + epoch):
            mapped = functional.normalize(questions[batch] + questions[batch] @ change.T)
            scores = scale * mapped @ passages[batch].T
            loss = functional.cross_entropy(scores, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
        if not math.isfinite(total):
            raise TrainingError(
                f"the loss became {total} in epoch {epoch + 1}; "
                "run again with a smaller --learning-rate"
            )
        losses.append(round(total / len(rows), 4))
        if score:
            dev_mrr.append(score(change.detach()))
        if not score or dev_mrr[-1] > best_score:
            best, best_score = change.detach().clone(), dev_mrr[-1] if score else best_score
        progress("train", epoch + 1, epochs, f"loss {losses[-1]:.3f}")
    return dev_mrr, losses, best


def _dev_scorer(
    dev: DevSet, base: EmbeddingModel, cache: "VectorCache"
) -> Callable[["torch.Tensor"], float]:
    """Dev MRR of a map; the vectors that it is measured on are made once."""
    questions = cache.embed_queries(base, dev.questions)
    passages = cache.embed_passages(base, dev.passages)

    def score(change: "torch.Tensor") -> float:
        return mean_reciprocal_rank(apply_adapter(questions, change.numpy()), passages, dev.gold)

    return score


def _save(base: Path, change: "torch.Tensor", target: Path, report: TrainingReport) -> None:
    """Write beside the target, then rename: a folder by its final name is whole."""
    from safetensors.torch import save_file

    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(base, partial, ignore=shutil.ignore_patterns("README.md", REPORT_FILE))
    save_file({"change": change}, partial / ADAPTER_FILE)
    (partial / REPORT_FILE).write_text(json.dumps(asdict(report), indent=2), "utf-8")
    partial.rename(target)
