"""Method "adapter": a linear map on query vectors; passages keep theirs.

Everything is embedded once, before training, so that training takes seconds and no index has to be
built anew. The idea is LlamaIndex's EmbeddingAdapterFinetuneEngine; the loss is that of "mnrl", and
training begins at the share of whitening that is best on dev.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag_app.disk import whole_folder
from rag_app.errors import TrainingError
from rag_app.finetune.data.batches import deal_batches, groups_against
from rag_app.finetune.data.dev import DevSet, ReciprocalRanks, reciprocal_ranks
from rag_app.finetune.options import TrainingOptions, TrainingReport, TrainingRow, write_report
from rag_app.finetune.query_map.whitening import whitening
from rag_app.finetune.train.losses import DEFAULT_SCALE
from rag_app.finetune.train.memory import peak_memory_mb
from rag_app.models import EmbeddingModel
from rag_app.models.query_map import QueryMap, add_query_map
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors

if TYPE_CHECKING:
    from rag_app.index import VectorCache

# A change of vectors, (dim, dim) -> the reciprocal ranks of the dev questions under it.
ReciprocalRanksOf = Callable[[Vectors], ReciprocalRanks]

# An epoch takes milliseconds, and an adapter learns slowly at a model's rate; faster, it only
# learns by heart.
EPOCH_FACTOR = 10
WEIGHT_DECAY = 0.01
# Of the largest share of whitening, which dev chooses among.
PARTS = (0.0, 0.25, 0.5, 1.0)


def train_adapter(
    base: EmbeddingModel,
    rows: Sequence[TrainingRow],
    *,
    corpus: Sequence[str],
    dev: DevSet | None,
    target: Path,
    options: TrainingOptions,
    cache: "VectorCache",
    progress: Progress = silent,
) -> TrainingReport:
    """Train the adapter and write a folder: that of `base`, and the adapter.

    Arguments:
        corpus: all passages of the index, held-out ones, too: whitening turns questions away from
            passages that it has read, so that others would stand out against them.
        dev: questions that choose the share of whitening and the epoch; without them all of it and
            the last epoch are taken.
    Raises:
        TrainingError: a base that has an adapter already, or training that diverges.
    """
    if base.has_query_map:
        raise TrainingError(f"{base.name} has an adapter already; start from its base --model")
    import torch

    started = time.monotonic()
    torch.manual_seed(options.seed)
    questions = cache.embed_queries(base, [row.question for row in rows], progress=progress)
    passages = cache.embed_passages(base, [row.positive for row in rows], progress=progress)
    every = cache.embed_passages(base, corpus, progress=progress)
    whole = whitening(questions, every)
    ranks = _reciprocal_ranks_of(dev, base, cache) if dev else None
    share = _share(whole, ranks, options.whitening or 0.0)
    start = np.float32(share) * whole
    groups = [row.group for row in rows]
    embedded = _Embedded(questions, passages, groups, groups_against(rows))
    fitted = _fit(start, embedded, options=options, ranks=ranks, progress=progress)
    seconds = time.monotonic() - started
    report = TrainingReport(
        seconds=round(seconds, 2),
        pairs_per_second=round(len(rows) * len(fitted.losses) / seconds, 2),
        peak_memory_mb=peak_memory_mb("cpu"),
        device="cpu",
        bf16=False,
        best_epoch=fitted.best_epoch,
        dev_mrr=[round(value, 6) for value in fitted.dev_mrr],
        losses=fitted.losses,
        epochs=len(fitted.losses),
        saved_dev_mrr=float(ranks(fitted.change).mean()) if ranks else None,
        whitening=share,
    )
    _save(base, QueryMap(fitted.change), target, report)
    return report


@dataclass(frozen=True)
class _Embedded:
    """The rows of a training as they are read here.

    Fields:
        questions, passages: (n_rows, dim) float32, unit length; each question beside its passage.
        groups, against: of each row, as of `deal_batches`.
    """

    questions: Vectors
    passages: Vectors
    groups: Sequence[str]
    against: Sequence[frozenset[str]]


@dataclass(frozen=True)
class _Fitted:
    """The change that is kept, (dim, dim), the epoch it is from (0: the start), and its way there.

    Fields:
        dev_mrr, losses: by epoch; no dev MRR without dev questions.
    """

    change: Vectors
    best_epoch: int
    dev_mrr: list[float]
    losses: list[float]


def _fit(
    start: Vectors,
    embedded: _Embedded,
    *,
    options: TrainingOptions,
    ranks: ReciprocalRanksOf | None,
    progress: Progress,
) -> _Fitted:
    """Train on from `start`; what was best on dev is kept, and of equally good ones the first.

    Arguments:
        start: (dim, dim); a question's vector q, (dim,), becomes q + start @ q, at unit length.
        ranks: of the dev questions; without them the last epoch is kept.
    Raises:
        TrainingError: the loss is infinite or NaN.
    """
    import torch
    from torch.nn import functional

    questions = torch.from_numpy(np.array(embedded.questions))
    passages = torch.from_numpy(np.array(embedded.passages))
    change = torch.from_numpy(start.copy()).requires_grad_()
    groups = embedded.groups
    optimizer = torch.optim.AdamW([change], lr=options.learning_rate, weight_decay=WEIGHT_DECAY)
    epochs = options.epochs * EPOCH_FACTOR
    if options.adapter_epochs is not None:
        epochs = options.adapter_epochs
    scale = options.scale or DEFAULT_SCALE
    losses: list[float] = []
    # The start first; without dev questions the later one is the better.
    by_epoch = [float(ranks(start).mean()) if ranks else -1.0]
    best = start
    for epoch in range(epochs):
        total = 0.0
        seed = options.seed * 10_007 + epoch
        dealt = deal_batches(groups, options.batch_size, seed=seed, against=embedded.against)
        for batch in dealt:
            mapped = functional.normalize(questions[batch] + questions[batch] @ change.T)
            scores = scale * mapped @ passages[batch].T
            loss = functional.cross_entropy(scores, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(batch)
        if not math.isfinite(total):
            raise TrainingError(
                f"query adapter training diverged: the loss is {total} in epoch {epoch + 1}; "
                "run again with a smaller --learning-rate"
            )
        losses.append(round(total / len(groups), 4))
        reached = change.detach().numpy().copy()
        by_epoch.append(float(ranks(reached).mean()) if ranks else float(epoch))
        if by_epoch[-1] > max(by_epoch[:-1]):
            best = reached
        progress("train", epoch + 1, epochs, f"loss {losses[-1]:.3f}")
    return _Fitted(best, int(np.argmax(by_epoch)), by_epoch[1:] if ranks else [], losses)


def _reciprocal_ranks_of(
    dev: DevSet, base: EmbeddingModel, cache: "VectorCache"
) -> ReciprocalRanksOf:
    """What measures a change, (dim, dim), as it is saved; the vectors are made once.

    It returns the reciprocal rank of each dev question, (n_questions,).
    """
    questions = cache.embed_queries(base, dev.questions)
    passages = cache.embed_passages(base, dev.passages)

    def ranks(change: Vectors) -> ReciprocalRanks:
        return reciprocal_ranks(QueryMap(change)(questions), passages, dev.gold)

    return ranks


def _share(whole: Vectors, ranks: ReciprocalRanksOf | None, most: float) -> float:
    """The share of whitening to begin with: the best on dev, and of equally good ones the least.

    Arguments:
        whole: whitening in full, (dim, dim).
        most: the largest share; without dev questions it is taken.
    """
    if ranks is None:
        return most
    shares = [part * most for part in PARTS]
    scores = [ranks(np.float32(share) * whole).mean() for share in shares]
    return shares[int(np.argmax(scores))]


def _save(base: EmbeddingModel, query_map: QueryMap, target: Path, report: TrainingReport) -> None:
    with whole_folder(target) as folder:
        add_query_map(
            base.folder,
            folder,
            query_map,
            prompts=base.prompts.by_task(),
            inputs=base.full_dimension,
        )
        (folder / "README.md").unlink(missing_ok=True)  # It tells of the base.
        write_report(report, folder)
