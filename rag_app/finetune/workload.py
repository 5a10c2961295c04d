"""What a training will take, from a few of its steps and a few passages that are embedded."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rag_app.duration import ITEMS, Clock, measured_pace, spread
from rag_app.finetune.options import TrainingOptions, TrainingRow
from rag_app.finetune.phases import plan_phases
from rag_app.finetune.train.memory import free_memory
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.train.run import TrainingJob, train
from rag_app.models import EmbeddingModel
from rag_app.models.device import choose_device

# Steps that are taken at most; the first is not timed.
MOST_STEPS = 4
# Steps are timed for so long, since batches differ in length.
MEASURED_SECONDS = 1.0


@dataclass(frozen=True)
class TrainingSizes:
    """What is trained on and embedded.

    Fields:
        pairs: that the judged model is trained on.
        all_pairs: that a model which won is trained on again.
        dev_passages: embedded after each epoch.
        passages: of the index; embedded once with the tuned model.
        others: passages that are embedded besides, those of out-of-domain questions.
    """

    pairs: int
    all_pairs: int
    dev_passages: int
    passages: Sequence[str]
    others: int = 0


@dataclass(frozen=True)
class TrainingWorkload:
    """About how long it takes to train and score, and to train again on all pairs: seconds."""

    sizes: TrainingSizes
    epochs: int
    seconds: float
    refit_seconds: float


def training_workload(
    base: EmbeddingModel,
    rows: Sequence[TrainingRow],
    options: TrainingOptions,
    sizes: TrainingSizes,
) -> TrainingWorkload | None:
    """Time a few steps on some rows and a few passages; None where there are too few of them.

    The weights that the steps change are a copy, which is thrown away.

    Arguments:
        rows: of the kind that is trained on; some will do.
    """
    embedded = measured_pace(base.embed_passages, spread(sizes.passages, ITEMS), len)
    weights = [phase for phase in plan_phases(options) if phase.method != ADAPTER]
    trained = _pairs_per_second(base, rows, options) if weights else None
    if embedded is None or (weights and trained is None):
        return None
    passage = sum(map(len, sizes.passages)) / len(sizes.passages) / embedded
    once = (len(sizes.passages) + sizes.others) * passage
    # A query adapter takes seconds, however many pairs there are.
    epoch = len(weights) / trained if trained else 0.0
    dev = len(weights) * sizes.dev_passages * passage
    return TrainingWorkload(
        sizes,
        options.epochs,
        options.epochs * (sizes.pairs * epoch + dev) + once,
        options.epochs * sizes.all_pairs * epoch + once,
    )


class _Enough(Exception):
    """Enough steps were timed."""


class _TimedSteps:
    """A `Progress` that ends a training after some steps, the first of which is not timed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: float | None = None
        self.steps = 0
        self.seconds = 0.0

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        if step != "train" or not total:
            return
        if self._first is None:
            self._first = self._clock()
            return
        self.steps, self.seconds = done - 1, self._clock() - self._first
        if self.seconds >= MEASURED_SECONDS or done >= MOST_STEPS:
            raise _Enough


def _pairs_per_second(
    base: EmbeddingModel, rows: Sequence[TrainingRow], options: TrainingOptions
) -> float | None:
    """Speed of the first training of weights; None without rows."""
    if not rows:
        return None
    phase = plan_phases(options)[0]
    timed = _TimedSteps(time.perf_counter)
    with TemporaryDirectory() as folder:
        job = TrainingJob(
            base=base.folder,
            prompts=base.prompts,
            max_tokens=base.max_tokens,
            rows=_as_many(rows, options.batch_size * (MOST_STEPS + 1)),
            dev=None,
            options=replace(
                options,
                loss=phase.loss,
                method=phase.method,
                scale=options.scale or round(1 / base.temperature),
                epochs=1,
            ),
            device=choose_device(base.device),
            work=Path(folder),
        )
        # Two copies of a large model would not fit a small machine.
        base.unload()
        with suppress(_Enough):
            train(job, progress=timed)
    free_memory()
    return options.batch_size * timed.steps / timed.seconds if timed.steps else None


def _as_many(rows: Sequence[TrainingRow], count: int) -> list[TrainingRow]:
    """So many rows; where there are fewer, they come again as if they were others."""
    again = range(-(-count // len(rows)))
    return [
        replace(
            row,
            question=f"{row.question} {turn}" if turn else row.question,
            passage=f"{row.passage} {turn}" if turn else row.passage,
            group=f"{row.group} {turn}",
        )
        for turn in again
        for row in rows
    ][:count]
